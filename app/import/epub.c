/* SPDX-License-Identifier: Apache-2.0
 *
 * EPUB: META-INF/container.xml names the package file; its manifest maps ids to pages, and its
 * spine lists the ids in reading order. Each page goes through html_text.
 */
#include <stdlib.h>
#include <string.h>

#include "app/import/encoding.h"
#include "app/import/html_text.h"
#include "app/import/importers.h"
#include "app/import/xml.h"
#include "app/import/zip.h"

static bool matches(const uint8_t *data, size_t size, const char *name) {
    bool zip = size >= 4 && memcmp(data, "PK\3\4", 4) == 0;
    /* The first entry is "mimetype", stored. */
    return zip && (import_has_extension(name, ".epub\0") ||
                   memmem(data, size < 100 ? size : 100, "mimetypeapplication/epub+zip", 28));
}

static bool wanted(const char *name) {
    return import_has_extension(name, ".xml\0.opf\0.xhtml\0.html\0.htm\0");
}

/* `href`, which stands in file `base`, as a name in the archive; NULL when memory runs out. */
static char *resolve(const char *base, const char *href) {
    const char *slash = strrchr(base, '/');
    size_t folder = slash ? (size_t)(slash - base) + 1 : 0;
    char *path = malloc(folder + strlen(href) + 1), *to = path;
    if (!path) {
        return NULL;
    }
    memcpy(path, base, folder);
    to += folder;
    for (const char *at = href; *at && *at != '#'; at++) {
        char hex[3] = {at[0] == '%' ? at[1] : '\0', '\0', '\0'};
        hex[1] = hex[0] ? at[2] : '\0';
        char *end;
        unsigned long value = hex[1] ? strtoul(hex, &end, 16) : 0;
        if (value && *end == '\0') {
            *to++ = (char)value;
            at += 2;
        } else if (to >= path + 3 && strncmp(at, "../", 3) == 0 && to[-1] == '/') {
            /* One folder up. */
            do {
                to--;
            } while (to > path && to[-1] != '/');
            at += 2;
        } else {
            *to++ = *at;
        }
    }
    *to = '\0';
    return path;
}

/* The full-path of the first rootfile. */
static char *package_path(const struct zip *z, struct error *error) {
    xmlDoc *doc = xml_parse(zip_find(z, "META-INF/container.xml"), "META-INF/container.xml", error);
    char *path = NULL;
    if (doc) {
        xmlNode *root = xmlDocGetRootElement(doc);
        for (xmlNode *n = root; n && !path; n = xml_next(n, root, false)) {
            path = xml_is(n, "rootfile") ? xml_attribute(n, "full-path") : NULL;
        }
        if (!path) {
            error_set(error, ERROR_FAILURE, "META-INF/container.xml names no package file");
        }
        xmlFreeDoc(doc);
    }
    return path;
}

/* The href of the manifest's item with this id. */
static char *manifest_href(xmlNode *root, const char *id) {
    for (xmlNode *n = root; n; n = xml_next(n, root, false)) {
        if (!xml_is(n, "item")) {
            continue;
        }
        char *own = xml_attribute(n, "id");
        bool found = own && strcmp(own, id) == 0;
        xmlFree(own);
        if (found) {
            return xml_attribute(n, "href");
        }
    }
    return NULL;
}

/* Pages without a heading of their own still are a section, named by their title. */
static bool add_page(struct builder *b, const struct bytes *page, const char *name,
                     struct error *error) {
    struct bytes utf8 = {0}, title = {0};
    const char *charset = encoding_guess(page->data, page->size);
    if (!charset) {
        return error_set(error, ERROR_FAILURE, "%.100s is no text: is the book encrypted?", name);
    }
    size_t before = b->document->section_count, begin = builder_next(b);
    bool ok = (encoding_decode(page->data, page->size, charset, &utf8) && !utf8.failed) ||
              error_set(error, ERROR_FAILURE, "%.100s: cannot convert %s", name, charset);
    ok = ok && html_text((const char *)utf8.data, utf8.size, b, &title, error);
    if (ok && b->document->section_count == before && b->text.size > begin) {
        bool named = title.size && !title.failed;
        ok = document_add_section(b->document, begin, named ? (char *)title.data : name,
                                  named ? title.size : strlen(name)) ||
             error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    bytes_finish(&utf8);
    bytes_finish(&title);
    return ok;
}

static bool add_spine(const struct zip *z, const char *package, xmlNode *root, struct builder *b,
                      struct error *error) {
    size_t pages = 0;
    bool ok = true;
    for (xmlNode *n = root; ok && n; n = xml_next(n, root, false)) {
        char *id = xml_is(n, "itemref") ? xml_attribute(n, "idref") : NULL;
        char *href = id ? manifest_href(root, id) : NULL;
        char *path = href ? resolve(package, href) : NULL;
        const struct bytes *page = path ? zip_find(z, path) : NULL;
        if (page) {
            ok = add_page(b, page, path, error);
            pages++;
        } else if (id) {
            ok = error_set(error, ERROR_FAILURE, "page %.100s of the book is missing",
                           path ? path : id);
        }
        xmlFree(id);
        xmlFree(href);
        free(path);
    }
    return ok && (pages || error_set(error, ERROR_FAILURE, "the book has no pages"));
}

static bool read_epub(const uint8_t *data, size_t size, const struct import_limits *limits,
                      struct document *document, struct error *error) {
    (void)limits;
    document->kind = DOCUMENT_EPUB;
    struct zip z = {0};
    if (!zip_read(&z, data, size, wanted, error)) {
        return false;
    }
    struct builder b = {.document = document};
    char *package = package_path(&z, error);
    xmlDoc *doc = package ? xml_parse(zip_find(&z, package), package, error) : NULL;
    bool ok = doc && add_spine(&z, package, xmlDocGetRootElement(doc), &b, error);
    xmlFreeDoc(doc);
    xmlFree(package);
    zip_finish(&z);
    if (!ok) {
        bytes_finish(&b.text);
        return false;
    }
    return builder_end(&b, error);
}

const struct importer importer_epub = {"epub", true, matches, NULL, read_epub};
