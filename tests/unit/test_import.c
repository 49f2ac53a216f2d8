/* SPDX-License-Identifier: Apache-2.0
 *
 * Importers and the walk: what each format becomes, and that no file, however made, blocks, crashes
 * or fills the memory: it is one skip with its reason. Every fixture is made here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "app/import/child.h"
#include "app/import/tree.h"

/* A result of importing bytes: either the document or why not. */
struct outcome {
    enum import_result result;
    struct document document;
    struct skips skips;
};

static struct outcome import(const void *data, size_t size, const char *name) {
    struct outcome o = {0};
    struct import_limits limits = import_limits_default();
    struct error error = {0};
    o.result = import_bytes(data, size, name, &limits, &o.document, &o.skips, &error);
    if (o.result == IMPORT_FAILED) {
        fail_msg("%s: %s", name, error.text);
    }
    return o;
}

static void drop(struct outcome *o) {
    document_finish(&o->document);
    skips_finish(&o->skips);
}

static void expect_text(const void *data, size_t size, const char *name, const char *text) {
    struct outcome o = import(data, size, name);
    if (o.result != IMPORT_TAKEN) {
        fail_msg("%s: %s", name, o.skips.items[0].reason);
    }
    assert_string_equal(o.document.text, text);
    assert_int_equal(o.document.size, strlen(text));
    assert_string_equal(o.document.name, name);
    drop(&o);
}

static void expect_skip(const void *data, size_t size, const char *name, bool by_rule,
                        const char *reason) {
    struct outcome o = import(data, size, name);
    if (o.result != IMPORT_SKIPPED) {
        fail_msg("%s: taken, expected \"%s\"", name, reason);
    }
    assert_int_equal(o.skips.count, 1);
    assert_string_equal(o.skips.items[0].name, name);
    if (!strstr(o.skips.items[0].reason, reason) || o.skips.items[0].by_rule != by_rule) {
        fail_msg("%s: \"%s\", expected \"%s\"", name, o.skips.items[0].reason, reason);
    }
    drop(&o);
}

static void encodings(void **state) {
    (void)state;
#define CASE(in, out)                                                                              \
    { in, sizeof in - 1, out }
    static const struct {
        const char *in;
        size_t size;
        const char *out;
    } rows[] = {
        CASE("", ""),
        CASE("plain\n", "plain\n"),
        CASE("one\r\ntwo\rthree\r\r\nfour", "one\ntwo\nthree\n\nfour"),
        CASE("\xEF\xBB\xBFmark", "mark"),
        CASE("caf\xC3\xA9", "caf\xC3\xA9"),
        /* Latin-1 and Windows-1252: stray high bytes among ASCII. */
        CASE("a caf\xE9 in the old town", "a caf\xC3\xA9 in the old town"),
        CASE("he said \x93yes\x94 and that was all of it",
             "he said \xE2\x80\x9Cyes\xE2\x80\x9D and that was all of it"),
        /* Damage in UTF-8: more good characters than bad bytes. */
        CASE("\xC3\xA9\xC3\xA9\xC3\xA9 and one bad \xFF byte here, no more",
             "\xC3\xA9\xC3\xA9\xC3\xA9 and one bad \xEF\xBF\xBD byte here, no more"),
        CASE("\xFF\xFEh\0i\0\r\0\n\0\xAC\x20", "hi\n\xE2\x82\xAC"),
        CASE("\xFE\xFF\0h\0i\x20\xAC", "hi\xE2\x82\xAC"),
        /* Half of a pair. */
        CASE("\xFF\xFEh\0\x00\xD8i\0", "h\xEF\xBF\xBDi"),
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        expect_text(rows[i].in, rows[i].size, "a.txt", rows[i].out);
    }
    expect_skip("ELF\0\1\2", 6, "a.out", true, "binary");
    expect_skip("\x89\x50\x4E\x47\xD0\xD1\xD2\xD3", 8, "picture", true, "binary");
    char late[9000];
    memset(late, 'a', sizeof late);
    late[8500] = '\0'; /* past where a binary is looked for: text with one odd character */
    struct outcome o = import(late, sizeof late, "late.txt");
    assert_int_equal(o.result, IMPORT_TAKEN);
    assert_int_equal(o.document.size, sizeof late + 2);
    drop(&o);
}

static void sections(void **state) {
    (void)state;
    static const char markdown[] =
        "# One\ntext\n```\n# not this\n```\n## Two *it*\n\nThree\n=====\n"
        "text\n\n#no space\n";
    static const char book[] = "THE WHALE\n\nCHAPTER I. Morning\nCHAPTER II. Noon\n\n\n"
                               "CHAPTER I. Morning\n\nIt was day. Chapter two comes\n\n"
                               "Chapter 2\n\nIt was noon.\n";
    struct outcome o = import(markdown, strlen(markdown), "a.md");
    assert_int_equal(o.document.kind, DOCUMENT_MARKDOWN);
    assert_int_equal(o.document.section_count, 3);
    assert_string_equal(o.document.sections[0].title, "One");
    assert_string_equal(o.document.sections[1].title, "Two *it*");
    assert_string_equal(o.document.sections[2].title, "Three");
    assert_memory_equal(o.document.text + o.document.sections[1].begin, "## Two", 6);
    drop(&o);
    o = import(book, strlen(book), "a.txt");
    assert_string_equal(o.document.sections[o.document.section_count - 2].title,
                        "CHAPTER I. Morning");
    assert_string_equal(o.document.sections[o.document.section_count - 1].title, "Chapter 2");
    drop(&o);
    o = import("int x;\n# define\n", 16, "a.c");
    assert_int_equal(o.document.kind, DOCUMENT_CODE);
    assert_int_equal(o.document.section_count, 0);
    drop(&o);
}

static void lines_and_pages(void **state) {
    (void)state;
    struct outcome o = import("a\nbb\n\nc", 7, "a.txt");
    struct document *d = &o.document;
    assert_true(document_lines(d));
    assert_int_equal(d->line_count, 4);
    static const size_t lines[] = {1, 1, 2, 2, 2, 3, 4, 4};
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(document_line_at(d, i), lines[i]);
    }
    assert_int_equal(document_page_at(d, 3), 0);
    assert_int_equal(document_section_at(d, 3), d->section_count);
    drop(&o);
}

static void html(void **state) {
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"<p>One\n two</p><p>three", "One two\n\nthree\n"},
        {"<h1>Title</h1>text<br>line<hr>end", "Title\n\ntext\nline\n\nend\n"},
        {"<title>t</title><script>alert('x')</script><style>p{}</style>text", "text\n"},
        {"<ul><li>a<li>b <b>bold</b>er</ul>", "- a\n- b bolder\n"},
        {"<table><tr><td>1</td><td>2</td></tr><tr><td>3<td>4</table>", "1\t2\n3\t4\n"},
        {"<pre>a\n  b</pre>c  d", "a\n  b\n\nc d\n"},
        {"a<div hidden>ghost</div><span style='display: none'>ghost</span>b", "a b\n"},
        {"&lt;b&gt; &amp; &eacute; &#x41;", "<b> & \xC3\xA9 A\n"},
        {"<img src=a alt='a boat'> on water", "a boat on water\n"},
        {"<p>unclosed <b><i>tags <table><p>everywhere", "unclosed tags\n\neverywhere\n"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strstr(rows[i].in, "ghost")) {
            struct outcome o = import(rows[i].in, strlen(rows[i].in), "a.html");
            assert_null(strstr(o.document.text, "ghost"));
            drop(&o);
            continue;
        }
        expect_text(rows[i].in, strlen(rows[i].in), "a.html", rows[i].out);
    }
    static const char by_content[] = " \n<!DOCTYPE html><h2>A  b</h2>x";
    struct outcome o = import(by_content, strlen(by_content), "https://example.org/");
    assert_int_equal(o.document.kind, DOCUMENT_HTML);
    assert_string_equal(o.document.sections[0].title, "A b");
    drop(&o);
    static const char latin[] = "<meta charset=iso-8859-1><p>caf\xE9 and some more words";
    expect_text(latin, strlen(latin), "a.htm", "caf\xC3\xA9 and some more words\n");
    static const char cyrillic[] = "<meta charset=koi8-r><p>\xED\xC9\xD2";
    expect_text(cyrillic, strlen(cyrillic), "a.htm", "\xD0\x9C\xD0\xB8\xD1\x80\n");
}

/* Nesting a million deep, one word of 12 MB, entities without end: read or skipped, never a crash
 * and in bounded time. */
static void hostile_html(void **state) {
    (void)state;
    struct bytes deep = {0}, wide = {0};
    for (int i = 0; i < 200000; i++) {
        bytes_put(&deep, "<div>", 5);
    }
    bytes_put(&deep, "bottom", 6);
    struct outcome o = import(deep.data, deep.size, "deep.html");
    assert_true(o.result == IMPORT_SKIPPED || strstr(o.document.text, "bottom"));
    drop(&o);
    size_t size = 12u << 20;
    uint8_t *at = bytes_extend(&wide, size);
    memset(at, 'a', size);
    o = import(wide.data, wide.size, "wide.html");
    assert_int_equal(o.result, IMPORT_TAKEN);
    assert_int_equal(o.document.size, size + 1);
    drop(&o);
    bytes_finish(&deep);
    bytes_finish(&wide);
}

/* A ZIP file: name, data, name, data, ..., NULL. */
static struct bytes zip_of(const char *first, ...) {
    static char buffer[1 << 20];
    struct archive *a = archive_write_new();
    size_t used = 0;
    archive_write_set_format_zip(a);
    archive_write_open_memory(a, buffer, sizeof buffer, &used);
    va_list args;
    va_start(args, first);
    for (const char *name = first; name; name = va_arg(args, const char *)) {
        const char *data = va_arg(args, const char *);
        struct archive_entry *e = archive_entry_new();
        archive_entry_set_pathname(e, name);
        archive_entry_set_filetype(e, AE_IFREG);
        archive_entry_set_size(e, (la_int64_t)strlen(data));
        archive_entry_set_perm(e, 0644);
        assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
        archive_write_data(a, data, strlen(data));
        archive_entry_free(e);
    }
    va_end(args);
    archive_write_close(a);
    archive_write_free(a);
    struct bytes zip = {0};
    bytes_put(&zip, buffer, used);
    return zip;
}

static const char container[] =
    "<?xml version='1.0'?><container xmlns='urn:oasis:names:tc:opendocument:xmlns:container'>"
    "<rootfiles><rootfile full-path='OPS/book.opf' media-type='x'/></rootfiles></container>";
static const char package[] =
    "<?xml version='1.0'?><package xmlns='http://www.idpf.org/2007/opf'><manifest>"
    "<item id='b' href='text/two%20b.xhtml'/><item id='a' href='text/one.xhtml'/>"
    "<item id='c' href='text/three.xhtml'/><item id='img' href='cover.jpg'/></manifest>"
    "<spine><itemref idref='a'/><itemref idref='b'/><itemref idref='c'/></spine></package>";

static void epub(void **state) {
    (void)state;
    struct bytes zip = zip_of(
        "mimetype", "application/epub+zip", "META-INF/container.xml", container, "OPS/book.opf",
        package, "OPS/text/two b.xhtml", "<html><body><h2>Second</h2><p>B</p></body></html>",
        "OPS/text/one.xhtml", "<html><body><h1>First</h1><p>A &nbsp; a</p></body></html>",
        "OPS/text/three.xhtml",
        "<?xml version='1.0'?><html><head><title>Third</title></head><body><p>C</p></body></html>",
        "OPS/cover.jpg", "\xFF\xD8", (char *)NULL);
    struct outcome o = import(zip.data, zip.size, "book.epub");
    if (o.result != IMPORT_TAKEN) {
        fail_msg("%s", o.skips.items[0].reason);
    }
    assert_int_equal(o.document.kind, DOCUMENT_EPUB);
    assert_string_equal(o.document.text, "First\n\nA \xC2\xA0 a\n\nSecond\n\nB\n\nC\n");
    assert_int_equal(o.document.section_count, 3);
    assert_string_equal(o.document.sections[0].title, "First");
    assert_string_equal(o.document.sections[1].title, "Second");
    assert_string_equal(o.document.sections[2].title, "Third");
    assert_memory_equal(o.document.text + o.document.sections[2].begin, "C", 1);
    drop(&o);

    /* Every truncation is a skip or a book, never a crash. */
    for (size_t size = 4; size < zip.size; size += 7) {
        o = import(zip.data, size, "cut.epub");
        drop(&o);
    }
    bytes_finish(&zip);

    zip = zip_of("META-INF/container.xml", container, "OPS/book.opf", package, (char *)NULL);
    expect_skip(zip.data, zip.size, "a.epub", false, "is missing");
    bytes_finish(&zip);
    zip = zip_of("../../etc/x.xml", "x", "META-INF/container.xml", "<a>", (char *)NULL);
    expect_skip(zip.data, zip.size, "a.epub", false, "not well-formed");
    bytes_finish(&zip);
}

#define W "xmlns:w='http://schemas.openxmlformats.org/wordprocessingml/2006/main'"

static void docx(void **state) {
    (void)state;
    static const char styles[] =
        "<w:styles " W "><w:style w:styleId='berschrift1'>"
        "<w:name w:val='heading 1'/></w:style>"
        "<w:style w:styleId='Text'><w:name w:val='Body'/></w:style></w:styles>";
    static const char text[] =
        "<w:document " W "><w:body>"
        "<w:p><w:pPr><w:pStyle w:val='berschrift1'/></w:pPr><w:r><w:t>Chapter </w:t></w:r>"
        "<w:r><w:t>one</w:t></w:r></w:p>"
        "<w:p><w:r><w:t xml:space='preserve'>It  began</w:t><w:tab/><w:t>here</w:t>"
        "<w:footnoteReference w:id='2'/></w:r>"
        "<w:del><w:r><w:delText>not any more</w:delText></w:r></w:del>"
        "<w:r><w:instrText>PAGE</w:instrText></w:r></w:p>"
        "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p></w:tc>"
        "<w:tc><w:p><w:r><w:t>b</w:t></w:r></w:p></w:tc></w:tr>"
        "<w:tr><w:tc><w:p><w:r><w:t>c</w:t></w:r></w:p></w:tc></w:tr></w:tbl>"
        "<w:p><w:r><w:t>End.</w:t></w:r></w:p></w:body></w:document>";
    static const char notes[] =
        "<w:footnotes " W "><w:footnote w:type='separator' w:id='0'><w:p><w:r><w:t>--</w:t></w:r>"
        "</w:p></w:footnote><w:footnote w:id='2'><w:p><w:r><w:t>A note.</w:t></w:r></w:p>"
        "</w:footnote></w:footnotes>";
    struct bytes zip = zip_of("[Content_Types].xml", "<x/>", "word/document.xml", text,
                              "word/styles.xml", styles, "word/footnotes.xml", notes, (char *)NULL);
    struct outcome o = import(zip.data, zip.size, "a.docx");
    if (o.result != IMPORT_TAKEN) {
        fail_msg("%s", o.skips.items[0].reason);
    }
    assert_int_equal(o.document.kind, DOCUMENT_DOCX);
    assert_string_equal(o.document.text, "Chapter one\n\nIt  began\there[^2]\n\na\tb\nc\n\nEnd.\n\n"
                                         "[^2] A note.\n");
    assert_int_equal(o.document.section_count, 1);
    assert_string_equal(o.document.sections[0].title, "Chapter one");
    drop(&o);
    bytes_finish(&zip);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* 64 MiB of spaces in one entry; entities that would become 10^9 characters; too many entries. */
static void bombs(void **state) {
    (void)state;
    double start = now();
    size_t size = 64u << 20;
    char *spaces = malloc(size + 1);
    memset(spaces, ' ', size);
    spaces[size] = '\0';
    struct bytes zip = zip_of("word/document.xml", spaces, (char *)NULL);
    assert_true(zip.size < 100000);
    expect_skip(zip.data, zip.size, "bomb.docx", false, "times its size");
    bytes_finish(&zip);
    free(spaces);

    char xml[4096] = "<!DOCTYPE w:document [<!ENTITY a0 'ha'>";
    for (int i = 1; i < 30; i++) {
        char line[80];
        snprintf(line, sizeof line, "<!ENTITY a%d '&a%d;&a%d;'>", i, i - 1, i - 1);
        strcat(xml, line);
    }
    strcat(xml, "]><w:document " W "><w:body><w:p><w:r><w:t>x&a29;</w:t></w:r></w:p></w:body>"
                "</w:document>");
    zip = zip_of("word/document.xml", xml, (char *)NULL);
    struct outcome o = import(zip.data, zip.size, "laughs.docx");
    assert_true(o.result == IMPORT_SKIPPED || o.document.size < 1000000);
    drop(&o);
    bytes_finish(&zip);

    static char big[1 << 21];
    struct archive *a = archive_write_new();
    size_t used = 0;
    archive_write_set_format_zip(a);
    archive_write_open_memory(a, big, sizeof big, &used);
    for (int i = 0; i < 10002; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d.xml", i);
        struct archive_entry *e = archive_entry_new();
        archive_entry_set_pathname(e, name);
        archive_entry_set_filetype(e, AE_IFREG);
        archive_entry_set_size(e, 0);
        archive_write_header(a, e);
        archive_entry_free(e);
    }
    archive_write_close(a);
    archive_write_free(a);
    expect_skip(big, used, "many.epub", false, "more than 10000 entries");
    assert_true(now() - start < 20);
}

/* A PDF of one line of text a page; offsets in the table are right. */
static struct bytes pdf_of(const char *const *pages, size_t count) {
    struct bytes out = {0};
    size_t offsets[64], n = 0;
    char line[400];
#define PUT(...) bytes_put(&out, line, (size_t)snprintf(line, sizeof line, __VA_ARGS__))
    PUT("%%PDF-1.4\n");
    offsets[n++] = out.size;
    PUT("1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n");
    offsets[n++] = out.size;
    PUT("2 0 obj\n<< /Type /Pages /Count %zu /Kids [", count);
    for (size_t i = 0; i < count; i++) {
        PUT(" %zu 0 R", 4 + 2 * i);
    }
    PUT(" ] >>\nendobj\n");
    offsets[n++] = out.size;
    PUT("3 0 obj\n<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>\nendobj\n");
    for (size_t i = 0; i < count; i++) {
        char stream[200];
        int size = snprintf(stream, sizeof stream, "BT /F1 12 Tf 72 720 Td (%s) Tj ET", pages[i]);
        offsets[n++] = out.size;
        PUT("%zu 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %zu 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>\nendobj\n",
            4 + 2 * i, 5 + 2 * i);
        offsets[n++] = out.size;
        PUT("%zu 0 obj\n<< /Length %d >>\nstream\n%s\nendstream\nendobj\n", 5 + 2 * i, size,
            stream);
    }
    size_t table = out.size;
    PUT("xref\n0 %zu\n0000000000 65535 f \n", n + 1);
    for (size_t i = 0; i < n; i++) {
        PUT("%010zu 00000 n \n", offsets[i]);
    }
    PUT("trailer\n<< /Size %zu /Root 1 0 R >>\nstartxref\n%zu\n%%%%EOF\n", n + 1, table);
    return out;
}

static void pdf(void **state) {
    (void)state;
    if (system("command -v pdftotext >/dev/null 2>&1") != 0) {
        skip(); /* an optional program: without it a PDF is a skip that says so */
    }
    static const char *const pages[] = {"The first page.", "The second page.", "", "The last."};
    struct bytes file = pdf_of(pages, 4);
    struct outcome o = import(file.data, file.size, "paper.pdf");
    if (o.result != IMPORT_TAKEN) {
        fail_msg("%s", o.skips.items[0].reason);
    }
    assert_int_equal(o.document.kind, DOCUMENT_PDF);
    assert_int_equal(o.document.page_count, 4);
    static const struct {
        const char *text;
        size_t page;
    } rows[] = {{"The first page.", 1}, {"The second page.", 2}, {"The last.", 4}};
    for (size_t i = 0; i < 3; i++) {
        const char *at = strstr(o.document.text, rows[i].text);
        assert_non_null(at);
        assert_int_equal(document_page_at(&o.document, (size_t)(at - o.document.text)),
                         rows[i].page);
    }
    assert_null(strchr(o.document.text, '\f'));
    drop(&o);
    expect_skip(file.data, 60, "cut.pdf", false, "pdftotext");
    bytes_finish(&file);
    static const char source[] = "/* Looks for %PDF-1.4 and writes it. */\n";
    o = import(source, sizeof source - 1, "pdf.c");
    assert_int_equal(o.result, IMPORT_TAKEN);
    assert_int_equal(o.document.kind, DOCUMENT_CODE);
    drop(&o);
    expect_skip(source, sizeof source - 1, "looks.pdf", false, "pdftotext");
    static const char *const empty[] = {"", ""};
    file = pdf_of(empty, 2);
    expect_skip(file.data, file.size, "scan.pdf", false, "no text in its 2 pages");
    bytes_finish(&file);
}

/* For what reads hostile bytes. */
static void a_program_without_sockets(void **state) {
    (void)state;
    static const char *const argv[] = {"python3", "-c", "import socket; socket.socket()", NULL};
    struct child_limits limits = {
        .cpu_seconds = 30, .memory_bytes = 1u << 30, .output_bytes = 1000};
    struct bytes out = {0};
    struct error error = {0};
    int status = -1;
    assert_true(child_run(argv, "", 0, &limits, &out, &status, &error));
    assert_int_equal(status, 0);
    limits.no_sockets = true;
    assert_true(child_run(argv, "", 0, &limits, &out, &status, &error));
    assert_int_equal(status, 1);
    bytes_finish(&out);
}

static void gzip(void **state) {
    (void)state;
    static char buffer[1 << 20];
    static const char *const rows[][3] = {
        {"notes.txt.gz", "plain words\n", "plain words\n"},
        {"page.html.gz", "<p>marked <b>words</b>", "marked words\n"},
    };
    for (size_t i = 0; i < 2; i++) {
        struct archive *a = archive_write_new();
        struct archive_entry *e = archive_entry_new();
        size_t used = 0;
        archive_write_set_format_raw(a);
        archive_write_add_filter_gzip(a);
        archive_write_open_memory(a, buffer, sizeof buffer, &used);
        archive_entry_set_filetype(e, AE_IFREG);
        archive_entry_set_pathname(e, "x");
        archive_write_header(a, e);
        archive_write_data(a, rows[i][1], strlen(rows[i][1]));
        archive_entry_free(e);
        archive_write_close(a);
        archive_write_free(a);
        expect_text(buffer, used, rows[i][0], rows[i][2]);
        expect_skip(buffer, used / 2, rows[i][0], false, "damaged");
    }
}

/* Random bytes behind each format's first bytes. */
static void noise(void **state) {
    (void)state;
    static const struct {
        const char *name, *magic;
    } kinds[] = {{"a.html", "<html>"},
                 {"a.epub", "PK\3\4"},
                 {"a.docx", "PK\3\4"},
                 {"a.gz", "\x1F\x8B\x08"},
                 {"a.txt", ""}};
    uint32_t seed = 12345;
    for (int turn = 0; turn < 100; turn++) {
        char data[600];
        size_t k = (size_t)turn % 5, n = strlen(kinds[k].magic);
        memcpy(data, kinds[k].magic, n);
        for (size_t i = n; i < sizeof data; i++) {
            seed = seed * 1664525 + 1013904223;
            data[i] = (char)(turn & 1 ? (seed >> 24) | 1 : 32 + (seed >> 24) % 95);
        }
        struct outcome o = import(data, sizeof data, kinds[k].name);
        drop(&o);
    }
}

/* A folder for the walk, made anew for each test. */
static char folder[64];

static void make(const char *path, const char *content) {
    char full[1024];
    snprintf(full, sizeof full, "%s/%s", folder, path);
    for (char *slash = full + strlen(folder) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(full, 0755);
        *slash = '/';
    }
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs(content, f);
    fclose(f);
}

static int open_folder(void **state) {
    (void)state;
    strcpy(folder, "/tmp/allmem-import-XXXXXX");
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int close_folder(void **state) {
    (void)state;
    return chdir("/") == 0 ? nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS) : -1;
}

/* The paths walked, below the folder, a space after each; then "!" and the skips. */
static char *walked(const char *const *paths, size_t count, const struct walk_options *options) {
    struct walk w = {0};
    struct error error = {0};
    struct walk_options usual = walk_options_default();
    struct bytes out = {0};
    if (!walk_paths(&w, paths, count, options ? options : &usual, &error)) {
        fail_msg("%s", error.text);
    }
    for (size_t i = 0; i < w.count; i++) {
        bytes_put(&out, w.files[i].path, strlen(w.files[i].path));
        bytes_put(&out, " ", 1);
    }
    for (size_t i = 0; i < w.skips.count; i++) {
        const struct skip *s = &w.skips.items[i];
        bytes_put(&out, "!", 1);
        bytes_put(&out, s->name, strlen(s->name));
        bytes_put(&out, ":", 1);
        bytes_put(&out, s->reason, strlen(s->reason));
        bytes_put(&out, " ", 1);
    }
    bytes_put_u8(&out, 0);
    walk_finish(&w);
    return (char *)out.data;
}

static void expect_walk(const char *path, const struct walk_options *options, const char *list) {
    char *got = walked(&path, 1, options);
    assert_string_equal(got, list);
    free(got);
}

static void walk_order_and_globs(void **state) {
    (void)state;
    make("b.txt", "b");
    make("a/z.c", "z");
    make("a/y.h", "y");
    make("a-b.txt", "x");
    make("a/deep/er/x.txt", "x");
    make(".hidden/secret.txt", "x");
    make(".dotfile", "x");
    expect_walk(".", NULL,
                ".dotfile a-b.txt a/deep/er/x.txt a/y.h a/z.c b.txt "
                "!.hidden:a hidden folder ");
    expect_walk("a/", NULL, "a/deep/er/x.txt a/y.h a/z.c ");
    expect_walk("b.txt", NULL, "b.txt ");
    expect_walk("-", NULL, "- ");

    struct walk_options o = walk_options_default();
    static const char *const h[] = {"*.h"}, *const txt[] = {"*.txt"}, *const deep[] = {"deep"},
                             *const path[] = {"a/*.c"};
    o.include = txt;
    o.include_count = 1;
    o.hidden = true;
    expect_walk(".", &o, ".hidden/secret.txt a-b.txt a/deep/er/x.txt b.txt ");
    o = walk_options_default();
    o.exclude = deep;
    o.exclude_count = 1;
    expect_walk("a", &o, "a/y.h a/z.c ");
    o.exclude = path;
    o.include = h;
    expect_walk(".", &o,
                ".dotfile a-b.txt a/deep/er/x.txt a/y.h b.txt "
                "!.hidden:a hidden folder ");
    o = walk_options_default();
    o.depth = 1;
    expect_walk("a", &o, "a/y.h a/z.c !a/deep/er:too deep ");
    o = walk_options_default();
    o.files = 1;
    expect_walk("a", &o, "a/deep/er/x.txt !a:2 more files: the limit is 1 ");
    o = walk_options_default();
    o.total_bytes = 2;
    expect_walk("a", &o, "a/deep/er/x.txt a/y.h !a:1 more files: the limit is 0 MiB in all ");

    /* A file that two paths lead to is read once. */
    const char *const twice[] = {"a/z.c", "a"};
    char *got = walked(twice, 2, NULL);
    assert_string_equal(got, "a/z.c a/deep/er/x.txt a/y.h ");
    free(got);

    struct walk w = {0};
    struct error error = {0};
    const char *missing = "no/such";
    struct walk_options usual = walk_options_default();
    assert_false(walk_paths(&w, &missing, 1, &usual, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    walk_finish(&w);
}

static void odd_files(void **state) {
    (void)state;
    make("ok.txt", "fine");
    make("new\nline \x1b[31m.txt", "x");
    make("bad\xFF\xFE.txt", "x");
    assert_int_equal(mkfifo("fifo", 0644), 0);
    assert_int_equal(symlink("ok.txt", "link.txt"), 0);
    assert_int_equal(symlink("..", "loop"), 0);
    assert_int_equal(symlink("/nonexistent", "broken"), 0);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "socket"};
    assert_int_equal(bind(s, (struct sockaddr *)&at, sizeof at), 0);
    int fd = open("sparse", O_CREAT | O_WRONLY, 0644);
    assert_true(fd >= 0 && ftruncate(fd, (off_t)1 << 40) == 0);
    close(fd);
    double start = now();
    expect_walk(".", NULL,
                "bad\xFF\xFE.txt new\nline \x1b[31m.txt ok.txt "
                "!broken:a symbolic link, not followed !fifo:a FIFO "
                "!link.txt:a symbolic link, not followed !loop:a symbolic link, not followed "
                "!socket:a socket !sparse:1048576 MiB, larger than the limit of 256 MiB ");

    /* The same, had the walk not looked: opening is as careful. */
    struct import_limits limits = import_limits_default();
    static const char *const rows[][2] = {
        {"fifo", "a FIFO"},          {"socket", "socket"},
        {"sparse", "larger than"},   {"link.txt", "symbolic link"},
        {"broken", "symbolic link"}, {".", "a folder"},
        {"/dev/zero", "a device"},   {"/proc/self/status", "a file of the kernel"},
        {"gone", "No such file"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct document d = {0};
        struct skips skips = {0};
        struct error error = {0};
        assert_int_equal(import_file(rows[i][0], false, &limits, &d, &skips, &error),
                         IMPORT_SKIPPED);
        if (!strstr(skips.items[0].reason, rows[i][1])) {
            fail_msg("%s: %s", rows[i][0], skips.items[0].reason);
        }
        skips_finish(&skips);
    }
    struct document d = {0};
    struct skips skips = {0};
    assert_int_equal(import_file("link.txt", true, &limits, &d, &skips, NULL), IMPORT_TAKEN);
    assert_string_equal(d.text, "fine");
    document_finish(&d);
    if (geteuid() != 0) {
        make("locked.txt", "x");
        chmod("locked.txt", 0);
        assert_int_equal(import_file("locked.txt", false, &limits, &d, &skips, NULL),
                         IMPORT_SKIPPED);
        assert_string_equal(skips.items[0].reason, "Permission denied");
        assert_false(skips.items[0].by_rule);
    }
    skips_finish(&skips);
    close(s);
    assert_true(now() - start < 2);
}

/* A line of 10 MB is one line of one document. */
static void long_line(void **state) {
    (void)state;
    struct bytes data = {0};
    size_t size = 10u << 20;
    memset(bytes_extend(&data, size), 'x', size);
    double start = now();
    struct outcome o = import(data.data, data.size, "long.txt");
    assert_int_equal(o.document.size, size);
    assert_true(document_lines(&o.document));
    assert_int_equal(o.document.line_count, 1);
    assert_true(now() - start < 5);
    drop(&o);
    bytes_finish(&data);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What git lists, sorted, in the form that `walked` gives. */
static char *git_listing(void) {
    FILE *p = popen("git ls-files -z -co --exclude-standard", "r");
    assert_non_null(p);
    struct bytes raw = {0}, out = {0};
    for (int c; (c = fgetc(p)) != EOF;) {
        bytes_put_u8(&raw, (uint8_t)c);
    }
    pclose(p);
    const char *names[100];
    size_t count = 0;
    for (size_t i = 0; i < raw.size; i += strlen((char *)raw.data + i) + 1) {
        names[count++] = (char *)raw.data + i;
    }
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 0; i < count; i++) {
        bytes_put(&out, names[i], strlen(names[i]));
        bytes_put(&out, " ", 1);
    }
    bytes_put_u8(&out, 0);
    bytes_finish(&raw);
    return (char *)out.data;
}

static void git_tree(void **state) {
    (void)state;
    if (system("command -v git >/dev/null 2>&1") != 0) {
        skip();
    }
    make(".gitignore", "*.o\n/build/\nsub/*.tmp\n!sub/keep.tmp\n");
    make("main.c", "int main;");
    make("main.o", "x");
    make("build/out.txt", "x");
    make("sub/a.tmp", "x");
    make("sub/keep.tmp", "x");
    make("sub/.gitignore", "local\n");
    make("sub/local", "x");
    make(".github/workflow.yml", "x");
    make("untracked \xC3\xA9\n.txt", "x");
    make("forced.o", "x");
    assert_int_equal(system("git init -q . && git add main.c sub && git add -f forced.o && "
                            "git config core.fsmonitor 'touch .git/hook-ran; false'"),
                     0);
    char *expected = git_listing();
    /* Plain git runs what the folder's own configuration names; the walk must not. */
    assert_int_equal(remove(".git/hook-ran"), 0);
    expect_walk(".", NULL, expected);
    assert_non_null(strstr(expected, ".github/workflow.yml "));
    assert_null(strstr(expected, "main.o "));
    free(expected);
    assert_int_equal(access(".git/hook-ran", F_OK), -1);

    expect_walk("sub", NULL, "sub/.gitignore sub/keep.tmp ");
    /* A folder that git ignores as a whole was named on purpose. */
    expect_walk("build", NULL, "build/out.txt ");
    struct walk_options o = walk_options_default();
    o.no_ignore = true;
    expect_walk("sub", &o, "sub/.gitignore sub/a.tmp sub/keep.tmp sub/local ");
    remove("main.c");
    char *got = walked((const char *const[]){"."}, 1, NULL);
    assert_non_null(strstr(got, "!main.c:git has it, the folder no longer "));
    free(got);
}

static void tree(void **state) {
    (void)state;
    make("src/main.c", "x");
    make("src/util.c", "x");
    make("src/util.h", "x");
    make("src/Makefile", "x");
    make("src/new\nline.c", "x");
    struct walk w = {0};
    struct walk_options o = walk_options_default();
    const char *path = "src";
    assert_true(walk_paths(&w, &path, 1, &o, NULL));
    assert_true(tree_is_useful(&w, 0));
    struct document d = {0};
    assert_true(tree_document(&w, 0, path, &d, NULL));
    assert_string_equal(d.name, "TREE src");
    assert_int_equal(d.kind, DOCUMENT_TREE);
    assert_string_equal(d.text, "Files of src: 5 in all (3 .c, 1 without ending, 1 .h).\n\n"
                                "src/Makefile\nsrc/main.c\nsrc/new?line.c\nsrc/util.c\n"
                                "src/util.h\n");
    document_finish(&d);
    walk_finish(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodings),
        cmocka_unit_test(sections),
        cmocka_unit_test(lines_and_pages),
        cmocka_unit_test(html),
        cmocka_unit_test(hostile_html),
        cmocka_unit_test(epub),
        cmocka_unit_test(docx),
        cmocka_unit_test(bombs),
        cmocka_unit_test(pdf),
        cmocka_unit_test(a_program_without_sockets),
        cmocka_unit_test(gzip),
        cmocka_unit_test(noise),
        cmocka_unit_test(long_line),
        cmocka_unit_test_setup_teardown(walk_order_and_globs, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(odd_files, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(git_tree, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(tree, open_folder, close_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
