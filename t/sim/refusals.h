/* A CA that refuses optional parts of a request, each for some time or for ever, as CAs do, and
 * the conversation in which the program leaves them out (net/options.h). For t/sim/. */
#ifndef T_SIM_REFUSALS_H
#define T_SIM_REFUSALS_H

#include <stddef.h>

#include "acmed/net/options.h"

enum { REFUSALS_SAID = 7 };

/* What CAs say to each part. Status 0: nothing, the directory shows that they do not have it.
 */
static const struct options_refusal refusals_said[OPTIONS_PARTS][REFUSALS_SAID] = {
    [OPTIONS_REPLACES] = {{"alreadyReplaced", 409, false},
                          {"conflict", 409, false},
                          {"malformed", 400, false},
                          {"malformed", 404, false},
                          {"unauthorized", 403, false},
                          {"about:blank", 400, false},
                          {"serverInternal", 500, false}},
    [OPTIONS_PROFILE] = {{"invalidProfile", 400, false},
                         {"invalidProfile", 0, false},
                         {"malformed", 400, false},
                         {"unauthorized", 403, false},
                         {"about:blank", 400, false},
                         {"", 400, false},
                         {"serverInternal", 500, false}},
    [OPTIONS_CONTACT] = {{"invalidContact", 400, false}, {"unsupportedContact", 400, false}},
};

struct refusals {
    struct refusals_part {
        const struct options_refusal *as; /* NULL: accepted */
        uint64_t from, until;
    } of[OPTIONS_PARTS];
};

/* random chooses among what is said to this part. */
static const struct options_refusal *refusals_choose(enum options_part part, uint64_t random)
{
    size_t n = 0;

    while (n < REFUSALS_SAID && refusals_said[part][n].type)
        n++;
    return &refusals_said[part][random % n];
}

static bool refusals_now(const struct refusals *refusals, enum options_part part, uint64_t now)
{
    const struct refusals_part *of = &refusals->of[part];

    return of->as && now >= of->from && now < of->until;
}

/* The refusal of one request; NULL: it is accepted. random: which part the CA looks at first.
 */
static const struct options_refusal *refusals_one(const struct refusals *refusals,
                                                  const struct options *with, uint64_t now,
                                                  uint64_t random)
{
    for (unsigned i = 0; i < OPTIONS_PARTS; i++) {
        enum options_part part = (enum options_part)((random + i) % OPTIONS_PARTS);

        if (with->carries[part] && refusals_now(refusals, part, now))
            return refusals->of[part].as;
    }
    return NULL;
}

/* The request, and again without what was refused. NULL: accepted in the end. *requests: how
 * many were sent, at most one more than there are parts if the program does right. */
static const struct options_refusal *refusals_converse(const struct refusals *refusals,
                                                       struct options *with, uint64_t now,
                                                       uint64_t random, unsigned *requests)
{
    const struct options_refusal *refusal;

    *requests = 0;
    if (with->carries[OPTIONS_PROFILE] && refusals_now(refusals, OPTIONS_PROFILE, now) &&
        refusals->of[OPTIONS_PROFILE].as->status == 0 && !options_drop(with, OPTIONS_PROFILE))
        return refusals->of[OPTIONS_PROFILE].as;
    do
        refusal = refusals_one(refusals, with, now, random >> *requests);
    while (++*requests <= OPTIONS_PARTS && refusal &&
           options_leave_out(with, refusal) != OPTIONS_NONE);
    return refusal;
}

#endif
