/* SPDX-License-Identifier: Apache-2.0
 *
 * The safe way to call libxml2, and walking without recursion.
 */
#include "app/import/xml.h"

#include <limits.h>
#include <string.h>

#include <libxml/parser.h>

xmlDoc *xml_parse(const struct bytes *data, const char *what, struct error *error) {
    xmlDoc *doc = NULL;
    if (data && data->size > 0 && data->size < INT_MAX) {
        /* Without XML_PARSE_NOENT entities stay references, so they cannot multiply. */
        doc = xmlReadMemory((const char *)data->data, (int)data->size, NULL, NULL,
                            XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
                                XML_PARSE_NOCDATA);
    }
    if (!doc || !xmlDocGetRootElement(doc)) {
        xmlFreeDoc(doc);
        error_set(error, ERROR_FAILURE, "%s: %s", what,
                  data ? "is not well-formed XML" : "is missing");
        return NULL;
    }
    return doc;
}

bool xml_is(const xmlNode *node, const char *name) {
    return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

xmlNode *xml_next(xmlNode *node, const xmlNode *root, bool skip_children) {
    /* What an entity reference holds is its declaration, not text of the document. */
    if (!skip_children && node->children && node->type == XML_ELEMENT_NODE) {
        return node->children;
    }
    while (node != root && !node->next) {
        node = node->parent;
    }
    return node == root ? NULL : node->next;
}

char *xml_attribute(xmlNode *node, const char *name) {
    for (xmlAttr *a = node->properties; a; a = a->next) {
        if (strcmp((const char *)a->name, name) == 0) {
            return (char *)xmlNodeListGetString(node->doc, a->children, 0);
        }
    }
    return NULL;
}
