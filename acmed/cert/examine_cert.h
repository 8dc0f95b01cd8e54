/* Examines a certificate of the configuration before it is used: can its files be read, do they
 * fit together, will it be ordered at all? The caller gets private keys into its memory, so it
 * must be a process that ends soon: see supervisor/examine.h. */
#ifndef ACMED_CERT_EXAMINE_CERT_H
#define ACMED_CERT_EXAMINE_CERT_H

#include <stdbool.h>

struct conf;
struct conf_cert;

/* Receives one finding: an error, or something that is probably unintended. */
typedef void examine_tell(void *to, const struct conf_cert *cert, bool is_error,
                          const char *text);

struct examine_rules {
    bool readable; /* unreadable files are an error; else a warning */
    bool stored;   /* a bad pair is a warning if the store has one to serve instead */
};

/* Call once, before the first certificate, in a process that has not used OpenSSL. */
void examine_cert_init(void);

void examine_cert(const struct conf *conf, const struct conf_cert *cert,
                  const struct examine_rules *rules, examine_tell *tell, void *to);

#endif
