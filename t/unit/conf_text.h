/* Texts of configurations that tests read, good ones and refused ones. */
#ifndef T_UNIT_CONF_TEXT_H
#define T_UNIT_CONF_TEXT_H

#include <stdlib.h>
#include <string.h>

#include "base/conf/conf.h"
#include "t/unit/tap.h"

#define CERT  "certificates = ( { names = [ \"shop.example.com\" ]; } );\n"
#define POOL  "pools = ( { name = \"pas\"; backends = [ \"pas1:8810\", \"pas2:8810\" ]; } );\n"
#define FOUR  CERT "acme = { email = \"ops@example.com\"; };\n" POOL
#define PLAIN "listen = ( { address = \"127.0.0.1:8080\"; } );\n"

/* Parses what has to be good; its errors are shown. */
static inline struct conf *good(const char *text)
{
    struct conf_errors errs = {0};
    struct conf *conf = conf_parse(text, strlen(text), "x.conf", &errs);

    for (size_t i = 0; i < errs.n; i++)
        diag("%s", errs.v[i]);
    conf_errors_release(&errs);
    if (!ok(conf, "a good text is read"))
        exit(done());
    return conf;
}

/* Whether a text is refused with just this message. */
static inline void refused(const char *text, const char *message)
{
    struct conf_errors errs = {0};
    struct conf *conf = conf_parse(text, strlen(text), "x.conf", &errs);

    if (!ok(!conf && errs.n == 1 && strcmp(errs.v[0], message) == 0, "refused: %s", message)) {
        for (size_t i = 0; i < errs.n; i++)
            diag("got %s", errs.v[i]);
    }
    conf_free(conf);
    conf_errors_release(&errs);
}

#endif
