/* Which optional part of a request is left out when the CA refuses it. */
#include "acmed/net/options.h"
#include "t/unit/tap.h"

enum { R = 1 << OPTIONS_REPLACES, P = 1 << OPTIONS_PROFILE, C = 1 << OPTIONS_CONTACT };

/* What CAs say, and what goes first with it: of an order with replaces and profile, with the
 * profile alone, and of an account. */
static const struct {
    const char *type;
    uint32_t status;
    bool retry_after;
    enum options_part of_both, of_profile, of_contact;
} refusals[] = {
    {"alreadyReplaced", 409, 0, OPTIONS_REPLACES, OPTIONS_PROFILE, OPTIONS_NONE},
    {"conflict", 409, 0, OPTIONS_REPLACES, OPTIONS_PROFILE, OPTIONS_NONE},
    {"malformed", 400, 0, OPTIONS_REPLACES, OPTIONS_PROFILE, OPTIONS_NONE},
    {"malformed", 404, 0, OPTIONS_REPLACES, OPTIONS_PROFILE, OPTIONS_NONE},
    {"unauthorized", 403, 0, OPTIONS_REPLACES, OPTIONS_PROFILE, OPTIONS_NONE},
    {"about:blank", 400, 0, OPTIONS_REPLACES, OPTIONS_PROFILE, OPTIONS_NONE},
    {"", 400, 0, OPTIONS_REPLACES, OPTIONS_PROFILE, OPTIONS_NONE},
    {"serverInternal", 500, 0, OPTIONS_REPLACES, OPTIONS_PROFILE, OPTIONS_NONE},
    {"", 500, 0, OPTIONS_REPLACES, OPTIONS_PROFILE, OPTIONS_NONE},
    {"invalidProfile", 400, 0, OPTIONS_PROFILE, OPTIONS_PROFILE, OPTIONS_NONE},
    {"invalidContact", 400, 0, OPTIONS_REPLACES, OPTIONS_PROFILE, OPTIONS_CONTACT},
    {"unsupportedContact", 400, 0, OPTIONS_REPLACES, OPTIONS_PROFILE, OPTIONS_CONTACT},
    /* Not because of an optional part. */
    {"serverInternal", 500, 1, OPTIONS_NONE, OPTIONS_NONE, OPTIONS_NONE},
    {"", 502, 0, OPTIONS_NONE, OPTIONS_NONE, OPTIONS_NONE},
    {"serverInternal", 503, 0, OPTIONS_NONE, OPTIONS_NONE, OPTIONS_NONE},
    {"", 504, 1, OPTIONS_NONE, OPTIONS_NONE, OPTIONS_NONE},
    {"rateLimited", 429, 1, OPTIONS_NONE, OPTIONS_NONE, OPTIONS_NONE},
    {"malformed", 429, 0, OPTIONS_NONE, OPTIONS_NONE, OPTIONS_NONE},
    {"rateLimited", 403, 0, OPTIONS_NONE, OPTIONS_NONE, OPTIONS_NONE},
    {"accountDoesNotExist", 400, 0, OPTIONS_NONE, OPTIONS_NONE, OPTIONS_NONE},
    {"badCSR", 400, 0, OPTIONS_NONE, OPTIONS_NONE, OPTIONS_NONE},
    {"badNonce", 400, 0, OPTIONS_NONE, OPTIONS_NONE, OPTIONS_NONE},
    {"badPublicKey", 400, 0, OPTIONS_NONE, OPTIONS_NONE, OPTIONS_NONE},
    {"badSignatureAlgorithm", 400, 0, OPTIONS_NONE, OPTIONS_NONE, OPTIONS_NONE},
    {"caa", 403, 0, OPTIONS_NONE, OPTIONS_NONE, OPTIONS_NONE},
    {"dns", 400, 0, OPTIONS_NONE, OPTIONS_NONE, OPTIONS_NONE},
    {"externalAccountRequired", 403, 0, OPTIONS_NONE, OPTIONS_NONE, OPTIONS_NONE},
    {"rejectedIdentifier", 400, 0, OPTIONS_NONE, OPTIONS_NONE, OPTIONS_NONE},
    {"unsupportedIdentifier", 400, 0, OPTIONS_NONE, OPTIONS_NONE, OPTIONS_NONE},
    {"userActionRequired", 403, 0, OPTIONS_NONE, OPTIONS_NONE, OPTIONS_NONE},
};

enum { REFUSALS = sizeof refusals / sizeof *refusals };

static struct options with(unsigned parts, bool required)
{
    struct options options = {.profile_required = required};

    for (int i = 1; i < OPTIONS_PARTS; i++)
        options.carries[i] = parts & 1U << i;
    return options;
}

static unsigned parts_of(const struct options *options)
{
    unsigned parts = 0;

    for (int i = 0; i < OPTIONS_PARTS; i++)
        parts |= (unsigned)options->carries[i] << i;
    return parts;
}

static struct options_refusal refusal(size_t i)
{
    return (struct options_refusal){refusals[i].type, refusals[i].status,
                                    refusals[i].retry_after};
}

/* Only the part that is named is left out. */
static bool leaves_out(unsigned parts, bool required, size_t i, enum options_part want)
{
    struct options options = with(parts, required);
    const struct options_refusal r = refusal(i);
    enum options_part got = options_leave_out(&options, &r);
    unsigned gone = got == OPTIONS_NONE ? 0 : 1U << got;

    return got == want && parts_of(&options) == (parts & ~gone);
}

static void test_first(void)
{
    for (size_t i = 0; i < REFUSALS; i++) {
        enum options_part both = refusals[i].of_both, one = refusals[i].of_profile;
        bool replaces = both == OPTIONS_REPLACES;

        ok(leaves_out(R | P, false, i, both) && leaves_out(P, false, i, one) &&
               leaves_out(C, false, i, refusals[i].of_contact),
           "%u %s%s: order with both, with a profile; account", refusals[i].status,
           refusals[i].type, refusals[i].retry_after ? ", Retry-After" : "");
        ok(leaves_out(R, false, i, replaces ? both : OPTIONS_NONE) &&
               leaves_out(R | P, true, i, replaces ? both : OPTIONS_NONE) &&
               leaves_out(P, true, i, OPTIONS_NONE) && leaves_out(0, false, i, OPTIONS_NONE),
           "order with replaces, with a required profile, with nothing");
    }
}

/* Any two refusals in turn, for ever: each part is left out once at most, and then there is an
 * end. */
static bool ends(unsigned parts, bool required, size_t i, size_t k)
{
    struct options options = with(parts, required);
    const struct options_refusal turns[] = {refusal(i), refusal(k)};
    unsigned left_out = 0;
    int requests = 1;

    for (;; requests++) {
        enum options_part part = options_leave_out(&options, &turns[requests % 2]);

        if (part == OPTIONS_NONE)
            break;
        if (requests == OPTIONS_PARTS || left_out & 1U << part || !(parts & 1U << part) ||
            options.carries[part])
            return false;
        left_out |= 1U << part;
    }
    return parts_of(&options) == (parts & ~left_out) && !(required && left_out & P);
}

static void test_end(void)
{
    for (unsigned parts = 0; parts < 1U << OPTIONS_PARTS; parts += 2)
        for (int required = 0; required < 2; required++) {
            unsigned bad = 0;

            for (size_t i = 0; i < REFUSALS; i++)
                for (size_t k = 0; k < REFUSALS; k++)
                    bad += !ends(parts, required, i, k);
            is_int(bad, 0, "parts %x%s: each is left out once at most, then it ends", parts,
                   required ? ", profile required" : "");
        }
}

/* What the directory shows that the CA does not have. */
static void test_drop(void)
{
    struct options options = with(R | P, false), strict = with(P, true);

    ok(options_drop(&options, OPTIONS_PROFILE) && parts_of(&options) == R, "a profile");
    ok(!options_drop(&options, OPTIONS_PROFILE), "which was dropped already");
    ok(!options_drop(&options, OPTIONS_CONTACT) && !options_drop(&options, OPTIONS_NONE),
       "what it does not carry");
    ok(!options_drop(&strict, OPTIONS_PROFILE) && parts_of(&strict) == P, "what is required");
}

int main(void)
{
    test_first();
    test_end();
    test_drop();
    return done();
}
