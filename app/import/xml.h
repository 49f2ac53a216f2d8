/* SPDX-License-Identifier: Apache-2.0
 *
 * Small steps over libxml2's trees, for the XML inside EPUB and DOCX. Names are local names: which
 * prefix a file gives a namespace is its own affair.
 */
#pragma once

#include <libxml/tree.h>

#include "engine/base/bytes.h"
#include "engine/base/error.h"

/* No network, no DTD, no entities but the five of XML. The caller frees with xmlFreeDoc. */
xmlDoc *xml_parse(const struct bytes *data, const char *what, struct error *error);

bool xml_is(const xmlNode *node, const char *name);
/* The node after this one in the order of the text, below `root`; NULL: that was the last. With
 * `skip_children`, the one after all that it holds. */
xmlNode *xml_next(xmlNode *node, const xmlNode *root, bool skip_children);
/* The attribute's value, which the caller frees with xmlFree; NULL: it has none. */
char *xml_attribute(xmlNode *node, const char *name);
