/* SPDX-License-Identifier: Apache-2.0
 *
 * libxml2's HTML parser builds the tree; a walk without recursion, since pages nest as deep as they
 * like, writes what each element stands for on entering and leaving it.
 */
#include "app/import/html_text.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <libxml/HTMLparser.h>
#include <libxml/parserInternals.h>

enum effect { NONE, DROP, LINE, BLANK, HEADING, ITEM, CELL, KEEP, RULE };

struct element {
    const char *name;
    enum effect effect;
};

/* Sorted. What is not here is part of the running text. */
static const struct element elements[] = {
    {"address", BLANK},  {"article", BLANK},   {"aside", BLANK},   {"blockquote", BLANK},
    {"br", LINE},        {"canvas", DROP},     {"caption", LINE},  {"dd", LINE},
    {"details", BLANK},  {"div", LINE},        {"dl", BLANK},      {"dt", LINE},
    {"fieldset", BLANK}, {"figcaption", LINE}, {"figure", BLANK},  {"footer", BLANK},
    {"form", BLANK},     {"h1", HEADING},      {"h2", HEADING},    {"h3", HEADING},
    {"h4", BLANK},       {"h5", BLANK},        {"h6", BLANK},      {"head", DROP},
    {"header", BLANK},   {"hr", RULE},         {"iframe", DROP},   {"legend", LINE},
    {"li", ITEM},        {"main", BLANK},      {"nav", BLANK},     {"noscript", DROP},
    {"object", DROP},    {"ol", BLANK},        {"option", LINE},   {"p", BLANK},
    {"pre", KEEP},       {"script", DROP},     {"section", BLANK}, {"style", DROP},
    {"summary", LINE},   {"svg", DROP},        {"table", BLANK},   {"tbody", LINE},
    {"td", CELL},        {"template", DROP},   {"textarea", KEEP}, {"th", CELL},
    {"title", DROP},     {"tr", LINE},         {"ul", BLANK},
};

static int compare(const void *key, const void *item) {
    return strcmp(key, ((const struct element *)item)->name);
}

/* Whether a style attribute hides the element. Only the plain form: this is no style engine. */
static bool is_hidden(xmlNode *node) {
    if (xmlHasProp(node, BAD_CAST "hidden")) {
        return true;
    }
    xmlChar *style = xmlGetProp(node, BAD_CAST "style");
    const char *at = style ? strstr((const char *)style, "display") : NULL;
    at = at ? at + strlen("display") : NULL;
    at = at ? at + strspn(at, " :\t") : NULL;
    bool hidden = at && strncmp(at, "none", 4) == 0;
    xmlFree(style);
    return hidden;
}

static enum effect effect_of(xmlNode *node) {
    const char *name = (const char *)node->name;
    const char *colon = strrchr(name, ':'); /* XHTML may name its elements with a prefix */
    const struct element *e =
        bsearch(colon ? colon + 1 : name, elements, sizeof elements / sizeof *elements,
                sizeof *elements, compare);
    enum effect effect = e ? e->effect : NONE;
    return effect != DROP && is_hidden(node) ? DROP : effect;
}

struct walker {
    struct builder *b;
    size_t keep; /* depth of <pre> */
};

static void enter(struct walker *w, xmlNode *node, enum effect effect) {
    struct builder *b = w->b;
    switch (effect) {
    case LINE:
        builder_break(b, false);
        break;
    case BLANK:
    case RULE:
        builder_break(b, true);
        break;
    case HEADING:
        builder_heading_begin(b);
        break;
    case ITEM:
        builder_break(b, false);
        builder_text(b, "- ", 2, true);
        break;
    case CELL:
        builder_cell(b);
        break;
    case KEEP:
        builder_break(b, true);
        w->keep++;
        break;
    case NONE:
    case DROP:
        break;
    }
    if (effect == NONE && strcmp((const char *)node->name, "img") == 0) {
        xmlChar *alt = xmlGetProp(node, BAD_CAST "alt");
        if (alt) {
            builder_text(b, (const char *)alt, strlen((const char *)alt), false);
        }
        xmlFree(alt);
    }
}

static void leave(struct walker *w, enum effect effect) {
    switch (effect) {
    case LINE:
    case ITEM:
        builder_break(w->b, false);
        break;
    case BLANK:
        builder_break(w->b, true);
        break;
    case HEADING:
        builder_heading_end(w->b);
        break;
    case KEEP:
        w->keep--;
        builder_break(w->b, true);
        break;
    case NONE:
    case DROP:
    case CELL:
    case RULE:
        break;
    }
}

static void find_title(xmlNode *head, struct bytes *title) {
    for (xmlNode *n = head->children; n && title->size == 0; n = n->next) {
        if (n->type == XML_ELEMENT_NODE && strcmp((const char *)n->name, "title") == 0) {
            xmlChar *text = xmlNodeGetContent(n);
            if (text) {
                bytes_put(title, text, strlen((const char *)text));
            }
            xmlFree(text);
        }
    }
}

static void walk(struct walker *w, xmlNode *root, struct bytes *title) {
    xmlNode *node = root;
    while (node) {
        bool down = false;
        if (node->type == XML_ELEMENT_NODE) {
            enum effect effect = effect_of(node);
            if (effect == DROP && strcmp((const char *)node->name, "head") == 0) {
                find_title(node, title);
            }
            enter(w, node, effect);
            down = effect != DROP && node->children;
            if (!down) {
                leave(w, effect);
            }
        } else if ((node->type == XML_TEXT_NODE || node->type == XML_CDATA_SECTION_NODE) &&
                   node->content) {
            builder_text(w->b, (const char *)node->content, strlen((const char *)node->content),
                         w->keep > 0);
        }
        if (down) {
            node = node->children;
            continue;
        }
        while (node != root && !node->next) {
            node = node->parent;
            leave(w, effect_of(node));
        }
        node = node == root ? NULL : node->next;
    }
}

bool html_text(const char *html, size_t size, struct builder *b, struct bytes *title,
               struct error *error) {
    if (size > INT_MAX / 2) {
        return error_set(error, ERROR_FAILURE, "a page of more than 1 GiB");
    }
    if (size == 0) {
        return true;
    }
    htmlParserCtxt *parser = htmlCreateMemoryParserCtxt(html, (int)size);
    if (!parser) {
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    htmlCtxtUseOptions(parser, HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
                                   HTML_PARSE_NONET);
    parser->options |= XML_PARSE_HUGE; /* a text of 10 MB in one element must not vanish */
    xmlCharEncodingHandler *utf8 = xmlFindCharEncodingHandler("UTF-8");
    if (utf8) {
        xmlSwitchToEncoding(parser, utf8); /* whatever the page says: it has been converted */
    }
    htmlParseDocument(parser);
    xmlError *last = xmlCtxtGetLastError(parser);
    bool ok = !(last && last->code == XML_ERR_NO_MEMORY) ||
              error_set(error, ERROR_FAILURE, "needs too much memory");
    xmlNode *root = parser->myDoc ? xmlDocGetRootElement(parser->myDoc) : NULL;
    if (ok && root) {
        struct walker w = {.b = b};
        walk(&w, root, title);
        builder_break(b, true);
    }
    xmlFreeDoc(parser->myDoc);
    parser->myDoc = NULL;
    htmlFreeParserCtxt(parser);
    return ok && (!b->failed || error_set(error, ERROR_NO_SPACE, "out of memory"));
}
