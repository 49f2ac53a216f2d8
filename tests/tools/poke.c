/* SPDX-License-Identifier: Apache-2.0
 *
 * A name is found with its length before it, so that no text elsewhere is taken for it.
 */
#include "tests/tools/poke.h"

#include <assert.h>
#include <string.h>

static uint8_t *after_name(struct bytes *file, const char *name) {
    struct bytes wanted = {0};
    bytes_put_u64(&wanted, strlen(name));
    bytes_put(&wanted, name, strlen(name));
    uint8_t *at = memmem(file->data, file->size, wanted.data, wanted.size);
    assert(at);
    at += wanted.size;
    bytes_finish(&wanted);
    return at;
}

void poke_all(struct bytes *file, const struct poke *pokes, int count) {
    for (int i = 0; i < count && (pokes[i].width || pokes[i].text); i++) {
        const struct poke *p = &pokes[i];
        uint8_t *at = (p->name ? after_name(file, p->name) : file->data) + p->place;
        size_t size = p->text ? strlen(p->text) : (size_t)p->width;
        assert(at >= file->data && at + size <= file->data + file->size);
        if (p->text) {
            memcpy(at, p->text, size);
        }
        for (size_t k = 0; !p->text && k < size; k++) {
            at[k] = (uint8_t)(p->value >> (8 * k));
        }
    }
}
