/* SPDX-License-Identifier: Apache-2.0
 *
 * Prints the stems of standard input, one a line: for common_words.sh.
 */
#include <stdio.h>
#include <stdlib.h>

#include "app/words.h"

static bool print(void *context, const struct word *word) {
    (void)context;
    if (!word->stop && !word->part) {
        printf("%.*s\n", (int)word->size, word->stem);
    }
    return true;
}

int main(void) {
    struct words *words = words_create();
    char *line = NULL;
    size_t room = 0;
    for (ssize_t n; words && (n = getline(&line, &room, stdin)) > 0;) {
        words_of(words, line, (size_t)n, print, NULL);
    }
    free(line);
    words_destroy(words);
    return 0;
}
