#include "acmed/net/options.h"

#include <stddef.h>
#include <string.h>

/* Some CAs accept no contact at all. */
static bool about_contact(const char *type)
{
    return strcmp(type, "invalidContact") == 0 || strcmp(type, "unsupportedContact") == 0;
}

/* The CA asks to come back later. A 500 without Retry-After may be caused by an optional
 * part. */
static bool asks_for_time(const struct options_refusal *r)
{
    return r->status == 429 || r->status > 500 || (r->status == 500 && r->has_retry_after);
}

/* Problems that no optional part of an order can cause. */
static bool about_something_else(const char *type)
{
    static const char *const types[] = {"accountDoesNotExist",
                                        "badCSR",
                                        "badNonce",
                                        "badPublicKey",
                                        "badSignatureAlgorithm",
                                        "caa",
                                        "dns",
                                        "externalAccountRequired",
                                        "rateLimited",
                                        "rejectedIdentifier",
                                        "unsupportedIdentifier",
                                        "userActionRequired"};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(type, types[i]) == 0)
            return true;
    return false;
}

bool options_drop(struct options *options, enum options_part part)
{
    if (!options->carries[part] || (part == OPTIONS_PROFILE && options->profile_required))
        return false;
    options->carries[part] = false;
    return true;
}

/* A refusal of `replaces` may be 409 alreadyReplaced (RFC 9773 section 5); malformed, when the
 * CA does not know that certificate or its names have nothing in common with the order's;
 * unauthorized, when another account has it; or a 500 from Pebble. */
enum options_part options_leave_out(struct options *options,
                                    const struct options_refusal *refusal)
{
    const char *type = refusal->type;

    if (about_contact(type) && options_drop(options, OPTIONS_CONTACT))
        return OPTIONS_CONTACT;
    if (asks_for_time(refusal) || about_something_else(type))
        return OPTIONS_NONE;
    if (strcmp(type, "invalidProfile") != 0 && options_drop(options, OPTIONS_REPLACES))
        return OPTIONS_REPLACES;
    return options_drop(options, OPTIONS_PROFILE) ? OPTIONS_PROFILE : OPTIONS_NONE;
}
