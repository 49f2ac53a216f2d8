/* SPDX-License-Identifier: Apache-2.0
 *
 * What student.c and student_back.c share.
 */
#pragma once

#include "engine/finetune/student.h"

/* pass->y of layer l, with all that branch_back needs, from what is in `work` and was kept. */
void student_run_branch(struct student *s, uint32_t l);
/* pass->gates, of the layer in `work`: the gate of merged tokens. */
void student_run_gate(struct student *s, uint32_t l);
