/* Parses a CA's documents strictly. jansson stays behind this header; acmed's network helper
 * only. acme_request.h writes the requests.
 *
 * A document is at most ACME_JSON_MAX bytes and ACME_JSON_DEPTH deep; numbers are integers;
 * duplicate members are refused; URLs are https; tokens must pass ipc_is_token(); texts for
 * people are truncated (marked by " ...") and hold printable ASCII only, each other byte as
 * "?": the network helper is not trusted, so acmed accepts nothing else of it (net/ipc.h), and
 * they go into the environment of the operator's hook, a shell script. Parsers fill their
 * struct and return true; false: the document is not of the expected kind. Times are wall-clock
 * milliseconds, 0: not given. */
#ifndef ACMED_NET_ACME_JSON_H
#define ACMED_NET_ACME_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acmed/order/job.h"
#include "base/str.h"

enum {
    ACME_JSON_MAX = 256 * 1024,
    ACME_JSON_DEPTH = 12, /* an order with subproblems is 5 deep */
    ACME_CHALLENGES = 8,  /* per authorization; we know three kinds */
    ACME_PROFILES = 1024,
    ACME_IDENTIFIER = 256,
};

enum acme_status {
    ACME_PENDING = 1,
    ACME_READY,
    ACME_PROCESSING,
    ACME_VALID,
    ACME_INVALID,
    ACME_DEACTIVATED,
    ACME_EXPIRED,
    ACME_REVOKED,
};

/* RFC 8555 section 7.1.1. "": the CA does not offer it. */
struct acme_directory {
    char new_nonce[JOB_URL_SIZE], new_account[JOB_URL_SIZE], new_order[JOB_URL_SIZE];
    char revoke_cert[JOB_URL_SIZE], key_change[JOB_URL_SIZE], renewal_info[JOB_URL_SIZE];
    char terms[JOB_URL_SIZE];
    bool external_account_required;
    bool has_profiles;
    char profiles[ACME_PROFILES]; /* their names, separated by ", " */
    char caa[ACME_PROFILES];      /* caaIdentities, in the same format */
};

struct acme_problem { /* RFC 7807; type without the ACME prefix */
    char type[sizeof((struct job_problem){0}.type)];
    char detail[JOB_TEXT_SIZE];
    char name[ACME_IDENTIFIER];
    uint32_t status;
};

struct acme_order { /* section 7.1.3 */
    enum acme_status status;
    uint64_t expires_wall_ms;
    char finalize[JOB_URL_SIZE], certificate[JOB_URL_SIZE];
    struct acme_problem error; /* type "": none */
    size_t n_authorizations, n_identifiers;
    char identifiers[JOB_NAMES_MAX][ACME_IDENTIFIER];
    char authorizations[JOB_NAMES_MAX][JOB_URL_SIZE];
};

struct acme_challenge {      /* section 8 */
    enum job_challenge kind; /* 0: an unknown kind */
    enum acme_status status;
    char url[JOB_URL_SIZE], token[129];
    struct acme_problem error;
};

struct acme_authorization { /* section 7.1.4 */
    enum acme_status status;
    uint64_t expires_wall_ms;
    bool wildcard, ip;
    char name[ACME_IDENTIFIER];
    size_t n_challenges;
    struct acme_challenge challenges[ACME_CHALLENGES];
};

struct acme_renewal { /* RFC 9773 section 4.2 */
    uint64_t start_wall_ms, end_wall_ms;
    char explanation[JOB_URL_SIZE];
};

bool acme_json_directory(struct str text, struct acme_directory *to);
bool acme_json_account(struct str text, enum acme_status *status);
bool acme_json_order(struct str text, struct acme_order *to);
bool acme_json_authorization(struct str text, struct acme_authorization *to);
bool acme_json_renewal(struct str text, struct acme_renewal *to);
/* Uses the first subproblem if there is one, because it names the identifier; " and N more" is
 * appended to the name if there are several. */
bool acme_json_problem(struct str text, struct acme_problem *to);

/* Whether the directory offers this profile. */
bool acme_has_profile(const struct acme_directory *directory, const char *profile);

/* Parses "2026-11-23T01:02:03Z", optionally with a fraction and an offset; 0: invalid. */
uint64_t acme_time_ms(const char *text);

#endif
