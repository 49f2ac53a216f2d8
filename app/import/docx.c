/* SPDX-License-Identifier: Apache-2.0
 *
 * DOCX (WordprocessingML): word/document.xml is a run of paragraphs (p) of runs (r) of text (t),
 * some of them in table cells (tc). A paragraph whose style is named "heading N" or "title" in
 * word/styles.xml is a heading. Foot- and endnotes come after the text.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "app/import/builder.h"
#include "app/import/importers.h"
#include "app/import/xml.h"
#include "app/import/zip.h"

static bool matches(const uint8_t *data, size_t size, const char *name) {
    return size >= 4 && memcmp(data, "PK\3\4", 4) == 0 &&
           import_has_extension(name, ".docx\0.docm\0.dotx\0");
}

static bool wanted(const char *name) {
    static const char *const names[] = {"word/document.xml", "word/styles.xml",
                                        "word/footnotes.xml", "word/endnotes.xml"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* The style ids of headings, each between newlines. */
static void find_heading_styles(const struct zip *z, struct bytes *ids) {
    const struct bytes *data = zip_find(z, "word/styles.xml");
    struct error ignored;
    xmlDoc *doc = data ? xml_parse(data, "word/styles.xml", &ignored) : NULL;
    xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL, *style = NULL;
    bytes_put(ids, "\n", 1);
    for (xmlNode *n = root; n; n = xml_next(n, root, false)) {
        style = xml_is(n, "style") ? n : style;
        if (!style || !xml_is(n, "name")) {
            continue;
        }
        char *name = xml_attribute(n, "val"), *id = xml_attribute(style, "styleId");
        if (name && id &&
            (strncasecmp(name, "heading ", 8) == 0 || strcasecmp(name, "title") == 0)) {
            bytes_put(ids, id, strlen(id));
            bytes_put(ids, "\n", 1);
        }
        xmlFree(name);
        xmlFree(id);
    }
    bytes_put_u8(ids, 0);
    xmlFreeDoc(doc);
}

struct writer {
    struct builder *b;
    const char *headings; /* from find_heading_styles */
    const char *note;     /* "footnote" or "endnote" while those are written */
};

/* Whether the paragraph's style is a heading's. */
static bool is_heading(const struct writer *w, xmlNode *paragraph) {
    for (xmlNode *n = paragraph; n; n = xml_next(n, paragraph, xml_is(n, "r"))) {
        if (!xml_is(n, "pStyle")) {
            continue;
        }
        char *style = xml_attribute(n, "val");
        size_t size = style ? strlen(style) : 0;
        bool found = false;
        for (const char *at = w->headings; size && !found && (at = strstr(at, style)); at++) {
            found = at[-1] == '\n' && at[size] == '\n';
        }
        xmlFree(style);
        return found;
    }
    return false;
}

static void put(struct writer *w, const char *text) {
    builder_text(w->b, text, strlen(text), true);
}

static void put_mark(struct writer *w, xmlNode *node, const char *sign) {
    char *id = xml_attribute(node, "id");
    if (id) {
        put(w, sign);
        put(w, id);
        put(w, "]");
    }
    xmlFree(id);
}

/* One element on the way down. Returns whether what it holds is passed over. */
static bool enter(struct writer *w, xmlNode *n) {
    if (xml_is(n, "t")) {
        xmlChar *text = xmlNodeGetContent(n);
        if (text) {
            put(w, (const char *)text);
        }
        xmlFree(text);
        return true;
    }
    if (xml_is(n, "p") && is_heading(w, n)) {
        builder_heading_begin(w->b);
    } else if (xml_is(n, "tc")) {
        builder_cell(w->b);
    } else if (xml_is(n, "tr")) {
        builder_break(w->b, false);
    } else if (xml_is(n, "tab")) {
        put(w, "\t");
    } else if (xml_is(n, "br") || xml_is(n, "cr")) {
        builder_break(w->b, false);
    } else if (xml_is(n, "noBreakHyphen")) {
        put(w, "-");
    } else if (xml_is(n, "footnoteReference")) {
        put_mark(w, n, "[^");
    } else if (xml_is(n, "endnoteReference")) {
        put_mark(w, n, "[^e");
    } else if (w->note && xml_is(n, w->note)) {
        put_mark(w, n, strcmp(w->note, "footnote") == 0 ? "[^" : "[^e");
        put(w, " ");
    }
    /* Properties, deleted text, field codes, and the second of two renderings of a drawing. */
    return xml_is(n, "pPr") || xml_is(n, "rPr") || xml_is(n, "tabs") || xml_is(n, "delText") ||
           xml_is(n, "instrText") || xml_is(n, "Fallback");
}

static bool in_cell(const xmlNode *n) {
    while (n && !xml_is(n, "tc")) {
        n = n->parent;
    }
    return n != NULL;
}

/* The element has been written with all that it holds. */
static void leave(struct writer *w, xmlNode *n) {
    if (xml_is(n, "p")) {
        if (w->b->in_heading) {
            builder_heading_end(w->b);
        } else if (in_cell(n)) {
            builder_text(w->b, " ", 1, false);
        } else {
            builder_break(w->b, true);
        }
    } else if (xml_is(n, "tr")) {
        builder_break(w->b, false);
    } else if (xml_is(n, "tbl")) {
        builder_break(w->b, true);
    }
}

/* Word keeps two notes for the lines between text and notes; they have a type. */
static bool is_separator(xmlNode *n) {
    char *type = xml_is(n, "footnote") || xml_is(n, "endnote") ? xml_attribute(n, "type") : NULL;
    bool separator = type && strcmp(type, "normal") != 0;
    xmlFree(type);
    return separator;
}

static bool write_part(struct writer *w, const struct bytes *data, const char *what,
                       struct error *error) {
    xmlDoc *doc = xml_parse(data, what, error);
    if (!doc) {
        return false;
    }
    xmlNode *root = xmlDocGetRootElement(doc), *n = root;
    while (n) {
        bool skip = n->type != XML_ELEMENT_NODE || is_separator(n) || enter(w, n);
        if (!skip && n->children) {
            n = n->children;
            continue;
        }
        leave(w, n);
        while (n != root && !n->next) {
            n = n->parent;
            leave(w, n);
        }
        n = n == root ? NULL : n->next;
    }
    builder_break(w->b, true);
    xmlFreeDoc(doc);
    return true;
}

static bool read_docx(const uint8_t *data, size_t size, const struct import_limits *limits,
                      struct document *document, struct error *error) {
    (void)limits;
    document->kind = DOCUMENT_DOCX;
    struct zip z = {0};
    if (!zip_read(&z, data, size, wanted, error)) {
        return false;
    }
    struct builder b = {.document = document};
    struct bytes headings = {0};
    find_heading_styles(&z, &headings);
    struct writer w = {.b = &b, .headings = (const char *)headings.data};
    bool ok = !headings.failed || error_set(error, ERROR_NO_SPACE, "out of memory");
    ok = ok && write_part(&w, zip_find(&z, "word/document.xml"), "word/document.xml", error);
    static const char *const notes[] = {"footnote", "endnote"};
    static const char *const parts[] = {"word/footnotes.xml", "word/endnotes.xml"};
    for (size_t i = 0; ok && i < 2; i++) {
        const struct bytes *part = zip_find(&z, parts[i]);
        w.note = notes[i];
        ok = !part || write_part(&w, part, parts[i], error);
    }
    bytes_finish(&headings);
    zip_finish(&z);
    if (!ok) {
        bytes_finish(&b.text);
        return false;
    }
    return builder_end(&b, error);
}

const struct importer importer_docx = {"docx", true, matches, NULL, read_docx};
