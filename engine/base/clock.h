/* SPDX-License-Identifier: Apache-2.0
 *
 * The clock that durations are measured with.
 */
#pragma once

/* Seconds since some moment, the same for all threads; never goes back. */
double clock_seconds(void);
