/* SPDX-License-Identifier: Apache-2.0
 *
 * Irregular verbs and plurals, and the two large families of British spellings.
 */
#include "app/word_forms.h"

#include <stdlib.h>
#include <string.h>

struct form {
    const char *form, *base;
};

/* Sorted by form. */
static const struct form forms[] = {
    {"arisen", "arise"},
    {"arose", "arise"},
    {"ate", "eat"},
    {"became", "become"},
    {"began", "begin"},
    {"begun", "begin"},
    {"bent", "bend"},
    {"bitten", "bite"},
    {"bled", "bleed"},
    {"blew", "blow"},
    {"blown", "blow"},
    {"bore", "bear"},
    {"borne", "bear"},
    {"bought", "buy"},
    {"bound", "bind"},
    {"bred", "breed"},
    {"broke", "break"},
    {"broken", "break"},
    {"brought", "bring"},
    {"built", "build"},
    {"burnt", "burn"},
    {"came", "come"},
    {"caught", "catch"},
    {"children", "child"},
    {"chose", "choose"},
    {"chosen", "choose"},
    {"clung", "cling"},
    {"crept", "creep"},
    {"dealt", "deal"},
    {"drank", "drink"},
    {"drawn", "draw"},
    {"dreamt", "dream"},
    {"drew", "draw"},
    {"driven", "drive"},
    {"drove", "drive"},
    {"drunk", "drink"},
    {"dug", "dig"},
    {"eaten", "eat"},
    {"fallen", "fall"},
    {"fed", "feed"},
    {"feet", "foot"},
    {"fell", "fall"},
    {"felt", "feel"},
    {"fled", "flee"},
    {"flew", "fly"},
    {"flown", "fly"},
    {"forbade", "forbid"},
    {"forbidden", "forbid"},
    {"forgave", "forgive"},
    {"forgiven", "forgive"},
    {"forgot", "forget"},
    {"forgotten", "forget"},
    {"fought", "fight"},
    {"found", "find"},
    {"froze", "freeze"},
    {"frozen", "freeze"},
    {"geese", "goose"},
    {"grew", "grow"},
    {"grown", "grow"},
    {"heard", "hear"},
    {"held", "hold"},
    {"hid", "hide"},
    {"hidden", "hide"},
    {"hung", "hang"},
    {"kept", "keep"},
    {"knew", "know"},
    {"knives", "knife"},
    {"known", "know"},
    {"laid", "lay"},
    {"learnt", "learn"},
    {"led", "lead"},
    {"left", "leave"},
    {"lent", "lend"},
    {"lit", "light"},
    {"lives", "life"},
    {"lost", "lose"},
    {"meant", "mean"},
    {"men", "man"},
    {"met", "meet"},
    {"mice", "mouse"},
    {"overcame", "overcome"},
    {"paid", "pay"},
    {"ran", "run"},
    {"rang", "ring"},
    {"ridden", "ride"},
    {"risen", "rise"},
    {"rode", "ride"},
    {"rose", "rise"},
    {"sang", "sing"},
    {"sank", "sink"},
    {"sat", "sit"},
    {"saw", "see"},
    {"seen", "see"},
    {"sent", "send"},
    {"shaken", "shake"},
    {"shone", "shine"},
    {"shook", "shake"},
    {"shot", "shoot"},
    {"shown", "show"},
    {"slept", "sleep"},
    {"slid", "slide"},
    {"sold", "sell"},
    {"sought", "seek"},
    {"sped", "speed"},
    {"spent", "spend"},
    {"spoke", "speak"},
    {"spoken", "speak"},
    {"sprang", "spring"},
    {"spun", "spin"},
    {"stole", "steal"},
    {"stolen", "steal"},
    {"stood", "stand"},
    {"struck", "strike"},
    {"stuck", "stick"},
    {"stung", "sting"},
    {"sung", "sing"},
    {"sunk", "sink"},
    {"swam", "swim"},
    {"swept", "sweep"},
    {"swore", "swear"},
    {"sworn", "swear"},
    {"swum", "swim"},
    {"swung", "swing"},
    {"taken", "take"},
    {"taught", "teach"},
    {"teeth", "tooth"},
    {"thieves", "thief"},
    {"thought", "think"},
    {"threw", "throw"},
    {"thrown", "throw"},
    {"told", "tell"},
    {"took", "take"},
    {"tore", "tear"},
    {"torn", "tear"},
    {"understood", "understand"},
    {"underwent", "undergo"},
    {"went", "go"},
    {"wept", "weep"},
    {"withdrawn", "withdraw"},
    {"withdrew", "withdraw"},
    {"wives", "wife"},
    {"woke", "wake"},
    {"woken", "wake"},
    {"wolves", "wolf"},
    {"women", "woman"},
    {"won", "win"},
    {"wore", "wear"},
    {"worn", "wear"},
    {"written", "write"},
    {"wrote", "write"},
};

static int compare(const void *key, const void *item) {
    return strcmp(key, ((const struct form *)item)->form);
}

const char *word_base(const char *word) {
    const struct form *f =
        bsearch(word, forms, sizeof forms / sizeof *forms, sizeof *forms, compare);
    return f ? f->base : NULL;
}

static bool ends(const char *word, size_t size, const char *end) {
    size_t n = strlen(end);
    return size >= n + 3 && memcmp(word + size - n, end, n) == 0;
}

/* Words that never had the other spelling change too (promise, flour). They do so on both sides,
 * and what comes out is no other word, so nothing is lost. */
size_t word_american(char *word, size_t size) {
    static const char *const endings[] = {"ise",   "ised",  "ises",    "iser",
                                          "isers", "ising", "isation", "isations"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        if (ends(word, size, endings[i])) {
            word[size - strlen(endings[i]) + 1] = 'z';
        }
    }
    for (size_t o = 2; o + 2 < size; o++) {
        if (memcmp(word + o, "our", 3) == 0) {
            memmove(word + o + 1, word + o + 2, size - o - 1); /* the NUL too */
            return size - 1;
        }
    }
    return size;
}
