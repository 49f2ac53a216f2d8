/* SPDX-License-Identifier: Apache-2.0
 *
 * Made by tokenizer.py.
 */
static const char golden_system[] = "You are a helpful assistant.";
static const char golden_user[] = "Who let the cat in\077\012Say why.";

static const int32_t golden_chat[] = {
    769, 328, 320, 12, 91, 374, 446, 354, 446, 448, 110, 114, 104, 119, 110, 34,
    308, 322, 48, 770, 12, 769, 311, 116, 12, 89, 106, 113, 466, 118, 467, 447,
    403, 34, 340, 65, 12, 85, 504, 450, 106, 123, 48, 770, 12, 769, 308, 322,
    12,
};
