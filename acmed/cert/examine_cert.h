/* A certificate of the configuration, looked at before it is used: can its files be read, do
 * they fit together, will it be ordered at all? Whoever calls it gets private keys into its
 * memory, and so is a process that ends soon: see supervisor/examine.h. */
#ifndef ACMED_CERT_EXAMINE_CERT_H
#define ACMED_CERT_EXAMINE_CERT_H

#include <stdbool.h>

struct conf;
struct conf_cert;

/* Takes one thing that was found: an error, or what is likely not meant. */
typedef void examine_tell(void *to, const struct conf_cert *cert, bool is_error,
                          const char *text);

struct examine_rules {
    bool readable; /* what may not be read is an error; else a warning */
    bool stored;   /* a bad pair is a warning where the store has one that is served instead */
};

/* Once, before the first certificate, in a process that has not used OpenSSL. */
void examine_cert_init(void);

void examine_cert(const struct conf *conf, const struct conf_cert *cert,
                  const struct examine_rules *rules, examine_tell *tell, void *to);

#endif
