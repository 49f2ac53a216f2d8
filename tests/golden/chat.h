/* SPDX-License-Identifier: Apache-2.0
 *
 * Made by tokenizer.py.
 */
static const char golden_system[] = "You are a helpful assistant.";
static const char golden_user[] = "Who let the cat in\077\012Say why.";

static const int32_t golden_chat[] = {
    769, 117, 348, 12, 91, 399, 470, 298, 470, 472, 110, 114, 104, 119, 110, 34,
    324, 275, 118, 344, 48, 770, 12, 769, 335, 116, 12, 89, 106, 113, 490, 118,
    491, 34, 101, 426, 34, 362, 65, 12, 85, 528, 34, 121, 106, 123, 48, 770,
    12, 769, 324, 275, 118, 344, 12,
};
