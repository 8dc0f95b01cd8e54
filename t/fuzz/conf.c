/* The configuration's reader on any bytes: it may refuse, never crash or leak; and what it
 * takes, it dumps in a form that it takes again, with the same result. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/conf/conf.h"

#define NAME "/nonexistent/fuzz.conf" /* so that a relative include finds nothing */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *dump(const struct conf *conf, size_t *n)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, n);

    CHECK(out);
    conf_dump(conf, out);
    fclose(out);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf_errors errs = {0};
    struct conf *conf = conf_parse((const char *)data, size, NAME, &errs);

    CHECK(!conf == (errs.n > 0));
    conf_errors_release(&errs);
    if (!conf)
        return 0;

    size_t n, m;
    char *first = dump(conf, &n);
    struct conf *again = conf_parse(first, n, NAME, &errs);
    CHECK(again);
    char *second = dump(again, &m);
    CHECK(n == m && memcmp(first, second, n) == 0);
    free(first);
    free(second);
    conf_free(conf);
    conf_free(again);
    return 0;
}
