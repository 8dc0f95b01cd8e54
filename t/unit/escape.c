/* What bytes of others become in a line, a table, JSON, a metric, a page. */
#include "base/escape.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/clock.h"
#include "t/unit/tap.h"

static const char *escaped(struct str text, enum escape_mode mode)
{
    static char out[256];

    escape_text(out, sizeof out, text, mode);
    return out;
}

static void test_modes(void)
{
    static const struct {
        const char *in, *line, *ascii, *quoted, *json, *label, *html;
    } cases[] = {
        {"plain text, 7 %", "plain text, 7 %", "plain text, 7 %", "plain text, 7 %",
         "plain text, 7 %", "plain text, 7 %", "plain text, 7 %"},
        {"\"\\<&'>", "\"\\<&'>", "\"\\<&'>", "\\\"\\\\<&'>", "\\\"\\\\<&'>", "\\\"\\\\<&'>",
         "&#34;\\&#60;&#38;&#39;&#62;"},
        {"a\nb", "a\\nb", "a\\nb", "a\\x0ab", "a\\u000ab", "a\\nb", "a\\nb"},
        {"\x1b[2J", "\\x1b[2J", "\\x1b[2J", "\\x1b[2J", "\\u001b[2J", "\\\\x1b[2J", "\\x1b[2J"},
        {"\x7f", "\\x7f", "\\x7f", "\\x7f", "\\u007f", "\\\\x7f", "\\x7f"},
        /* C1: CSI in UTF-8, and as the byte itself */
        {"\xc2\x9b"
         "2J",
         "\\xc2\\x9b2J", "\\xc2\\x9b2J", "\\xc2\\x9b2J", "\\\\xc2\\\\x9b2J", "\\\\xc2\\\\x9b2J",
         "\\xc2\\x9b2J"},
        {"\x9b"
         "2J",
         "\\x9b2J", "\\x9b2J", "\\x9b2J", "\\\\x9b2J", "\\\\x9b2J", "\\x9b2J"},
        {"caf\u00e9 \u20ac \U0001f600", "caf\u00e9 \u20ac \U0001f600",
         "caf\\xc3\\xa9 \\xe2\\x82\\xac \\xf0\\x9f\\x98\\x80", "caf\u00e9 \u20ac \U0001f600",
         "caf\u00e9 \u20ac \U0001f600", "caf\u00e9 \u20ac \U0001f600",
         "caf\u00e9 \u20ac \U0001f600"},
        /* cut in mid-character, overlong, surrogate */
        {"\xe2\x82", "\\xe2\\x82", "\\xe2\\x82", "\\xe2\\x82", "\\\\xe2\\\\x82",
         "\\\\xe2\\\\x82", "\\xe2\\x82"},
        {"\xc0\xaf", "\\xc0\\xaf", "\\xc0\\xaf", "\\xc0\\xaf", "\\\\xc0\\\\xaf",
         "\\\\xc0\\\\xaf", "\\xc0\\xaf"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80", "\\xed\\xa0\\x80", "\\xed\\xa0\\x80",
         "\\\\xed\\\\xa0\\\\x80", "\\\\xed\\\\xa0\\\\x80", "\\xed\\xa0\\x80"},
        /* right-to-left override, and a line separator */
        {"\u202e", "\\xe2\\x80\\xae", "\\xe2\\x80\\xae", "\\xe2\\x80\\xae",
         "\\\\xe2\\\\x80\\\\xae", "\\\\xe2\\\\x80\\\\xae", "\\xe2\\x80\\xae"},
        {"\u2028", "\\xe2\\x80\\xa8", "\\xe2\\x80\\xa8", "\\xe2\\x80\\xa8",
         "\\\\xe2\\\\x80\\\\xa8", "\\\\xe2\\\\x80\\\\xa8", "\\xe2\\x80\\xa8"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str in = str_from(cases[i].in);

        is_str(escaped(in, ESCAPE_LINE), cases[i].line, "case %zu: line", i);
        is_str(escaped(in, ESCAPE_ASCII), cases[i].ascii, "case %zu: ASCII", i);
        is_str(escaped(in, ESCAPE_QUOTED), cases[i].quoted, "case %zu: quoted", i);
        is_str(escaped(in, ESCAPE_JSON), cases[i].json, "case %zu: JSON", i);
        is_str(escaped(in, ESCAPE_LABEL), cases[i].label, "case %zu: label", i);
        is_str(escaped(in, ESCAPE_HTML), cases[i].html, "case %zu: HTML", i);
    }
    is_str(escaped(STR("a\0b"), ESCAPE_JSON), "a\\\\x00b", "NUL in JSON");
    is_str(escaped(STR_EMPTY, ESCAPE_LINE), "", "nothing");
}

/* Every pair and many triples of bytes: JSON parses, and no control is left. */
static void test_all_bytes(void)
{
    char in[3], json[300];
    int bad = 0;

    for (int a = 0; a < 256; a++)
        for (int b = 0; b < 256; b++) {
            in[0] = (char)a, in[1] = (char)b, in[2] = (char)(a * 7 + b);
            snprintf(json, sizeof json, "[\"%s\"]", escaped(str_make(in, 3), ESCAPE_JSON));
            json_t *j = json_loads(json, 0, NULL);
            bad += !j;
            json_decref(j);
            for (const char *p = escaped(str_make(in, 3), ESCAPE_LINE); *p; p++)
                bad += (unsigned char)*p < 0x20 || *p == 0x7f;
        }
    is_int(bad, 0, "65536 texts");
}

static void test_room(void)
{
    char out[8];

    is_int(escape_text(out, 8, STR("1234567"), ESCAPE_LINE), 7, "just fits");
    is_str(out, "1234567", "as it is");
    is_int(escape_text(out, 8, STR("12345\x1b"), ESCAPE_LINE), 5, "no half unit");
    is_str(out, "12345", "cut before it");
    is_int(escape_text(out, 1, STR("x"), ESCAPE_LINE), 0, "room for the NUL only");
}

static void test_print(void)
{
    char *text = NULL, *long_one = malloc(10001);
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    memset(long_one, 'x', 10000);
    long_one[10000] = '\0';
    escape_print(out, "%s: %d\n", "a\x1b]0;title\x07\nforged", 7);
    escape_print(out, "no newline");
    escape_print(out, "%s\n", "");
    fflush(out);
    is_str(text, "a\\x1b]0;title\\x07\\nforged: 7\nno newline\n", "one line for each");
    escape_print(out, "%s\n", long_one);
    fclose(out);
    ok(n < 5000 && text[n - 1] == '\n', "a long one is cut, and ends");
    free(text);
    free(long_one);
}

static void test_times(void)
{
    char out[CLOCK_ISO_SIZE], span[CLOCK_SPAN_SIZE];

    is_str(clock_span(span, 0), "0 seconds", "no time");
    is_str(clock_span(span, 1999), "1 second", "one second");
    is_str(clock_span(span, 99999), "99 seconds", "many");
    is_str(clock_span(span, 100000), "2 minutes", "which are minutes then");
    is_str(clock_span(span, 7380 * 1000), "2 hours", "two hours and some");
    is_str(clock_span(span, 86380 * 1000), "24 hours", "a day, nearly");
    is_str(clock_span(span, UINT64_C(6912000) * 1000), "80 days", "eighty days");
    is_str(clock_span(span, UINT64_C(53) * 8766 * 3600 * 1000), "53 years", "many years");
    ok(strstr(clock_span(span, UINT64_MAX), " years"), "any number");
    is_str(clock_iso(out, 0), "1970-01-01T00:00:00.000Z", "the first moment");
    is_str(clock_iso(out, UINT64_C(253402300799999)), "9999-12-31T23:59:59.999Z", "the last");
    is_str(clock_iso(out, UINT64_C(253402300800000)), "9999-12-31T23:59:59.999Z",
           "later than that");
    is_str(clock_iso(out, UINT64_MAX), "9999-12-31T23:59:59.999Z", "beyond any calendar");
    is_str(clock_iso(out, UINT64_C(67768036191676799) * 1000), "9999-12-31T23:59:59.999Z",
           "where a year would not fit an int");
}

int main(void)
{
    test_modes();
    test_all_bytes();
    test_room();
    test_print();
    test_times();
    return done();
}
