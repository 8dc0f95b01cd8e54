/* The parts of a request that the CA does not have to accept: `replaces` and the profile of an
 * order, the contact of an account. Which one to leave out when the CA refuses the request, so
 * that the same try goes on without it.
 *
 *   options_drop() for what the directory shows that the CA does not have; then
 *   do send the request with what `carries` says
 *   while it is refused and options_leave_out() names a part
 *
 * Every call that names a part removes it, so this ends after at most one request per part, and
 * one more. Pure; acmed's network helper only. */
#ifndef ACMED_NET_OPTIONS_H
#define ACMED_NET_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum options_part {
    OPTIONS_NONE,
    OPTIONS_REPLACES,
    OPTIONS_PROFILE,
    OPTIONS_CONTACT,
    OPTIONS_PARTS
};

struct options {
    bool carries[OPTIONS_PARTS]; /* what the next request has */
    bool profile_required;       /* the profile is never left out */
};

/* How the CA refused the request. */
struct options_refusal {
    const char *type; /* of the problem, without the ACME prefix; "": none */
    uint32_t status;  /* of HTTP */
    bool has_retry_after;
};

/* Removes this part. false: it is not carried, or required. */
bool options_drop(struct options *options, enum options_part part);

/* Removes the part that may be the cause, one at a time, so that a profile that the CA accepts
 * is kept. OPTIONS_NONE: no part is the cause, or nothing is left to remove. */
enum options_part options_leave_out(struct options *options,
                                    const struct options_refusal *refusal);

#endif
