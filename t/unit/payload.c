/* What an account's key signs: each request of the job, and nothing else. */
#include "acmed/key/payload.h"

#include <stdlib.h>

#include "acmed/net/acme_request.h"
#include "acmed/net/ipc.h"
#include "acmed/order/job.h"
#include "t/unit/tap.h"

#define ACCOUNT "https://ca.test/acct/1"

static struct ipc_begin begin_of(enum job_kind kind)
{
    return (struct ipc_begin){.kind = kind,
                              .flags = IPC_AGREE_TOS,
                              .reason = 4,
                              .contact = STR("ops@shop.test"),
                              .names = STR("shop.test\n*.shop.test\n192.0.2.7"),
                              .profile = STR("classic"),
                              .replaces = STR("aki.serial"),
                              .certificate = STR("MIIB")};
}

static bool allows(const struct payloads *p, enum ipc_how how, const char *url,
                   const char *payload)
{
    struct ipc_sign q = {
        .how = how, .url = str_from(url), .kid = STR(ACCOUNT), .payload = str_from(payload)};

    return payloads_allow(p, &q);
}

static void test_issue(void)
{
    struct ipc_begin begin = begin_of(JOB_ISSUE);
    struct payloads p;
    char *own = acme_request_new_order(begin.names, "classic", "");
    char *again = acme_request_new_order(begin.names, "classic", "aki.serial");
    char *plain = acme_request_new_order(begin.names, "", "");
    char *plain_again = acme_request_new_order(begin.names, "", "aki.serial");
    char *bare = acme_request_new_account("", true, false, NULL);
    char *other = acme_request_new_order(STR("shop.test\nother.test"), "classic", "");
    char *fewer = acme_request_new_order(STR("shop.test"), "classic", "");
    char *csr = acme_request_one("csr", "MIICours"),
         *theirs = acme_request_one("csr", "MIICtheirs");
    char *account = acme_request_new_account("ops@shop.test", true, false, NULL);
    char *stolen = acme_request_new_account("eve@evil.test", true, false, NULL);
    char *closed = acme_request_one("status", "deactivated");
    const char *url = "https://ca.test/order/1";

    ok(payloads_init(&p, &begin), "a job that orders");
    ok(allows(&p, IPC_WITH_KID, url, ""), "POST-as-GET");
    ok(allows(&p, IPC_WITH_KID, url, "{}"), "a challenge");
    ok(allows(&p, IPC_WITH_KID, url, own), "newOrder of its names");
    ok(allows(&p, IPC_WITH_KID, url, again), "with what it replaces");
    ok(allows(&p, IPC_WITH_KID, url, plain), "without the profile that a CA refused");
    ok(allows(&p, IPC_WITH_KID, url, plain_again), "the same, with what it replaces");
    ok(!allows(&p, IPC_WITH_KID, url, other), "not of another name");
    ok(!allows(&p, IPC_WITH_KID, url, fewer), "nor of fewer");
    ok(!allows(&p, IPC_WITH_KID, url, csr), "no CSR before one was made");
    payloads_made_csr(&p, "MIICours");
    ok(allows(&p, IPC_WITH_KID, url, csr), "finalize with the CSR that was made");
    ok(!allows(&p, IPC_WITH_KID, url, theirs), "and with no other");
    ok(allows(&p, IPC_WITH_JWK, url, account), "newAccount of its contact");
    ok(allows(&p, IPC_WITH_JWK, url, bare), "or without the one that a CA refused");
    ok(!allows(&p, IPC_WITH_JWK, url, stolen), "not of another's");
    ok(!allows(&p, IPC_WITH_JWK, url, own), "an order is not signed with the key in it");
    ok(allows(&p, IPC_WITH_KID, "https://ca.test/authz/7", closed),
       "an authorization is closed");
    ok(!allows(&p, IPC_WITH_KID, ACCOUNT, closed), "the account is not");
    ok(!allows(&p, IPC_WITH_KID, ACCOUNT, "{\"contact\":[\"mailto:eve@evil.test\"]}"),
       "and gets no other contact");
    ok(!allows(&p, IPC_ROLLOVER, ACCOUNT, ""), "nor another key");
    ok(!allows(&p, IPC_WITH_CERTIFICATE, url, "{\"certificate\":\"MIIB\",\"reason\":4}"),
       "nothing is revoked");
    payloads_release(&p);
    free(plain);
    free(plain_again);
    free(bare);
    free(own), free(again), free(other), free(fewer), free(csr), free(theirs), free(account);
    free(stolen), free(closed);
}

static void test_others(void)
{
    struct ipc_begin begin = begin_of(JOB_CLOSE);
    struct payloads p;
    char *closed = acme_request_one("status", "deactivated");
    char *revoke = acme_request_revoke("MIIB", 4), *other = acme_request_revoke("MIIC", 4);
    const char *eab = "{\"protected\":\"a\",\"payload\":\"b\",\"signature\":\"c\"}";
    char *bound = acme_request_new_account("ops@shop.test", true, false, eab);

    ok(payloads_init(&p, &begin) && allows(&p, IPC_WITH_KID, ACCOUNT, closed),
       "who is to close the account does");
    ok(!allows(&p, IPC_WITH_KID, "https://ca.test/authz/7", closed), "and nothing else");
    ok(!allows(&p, IPC_WITH_JWK, ACCOUNT, bound), "no binding that we did not sign");
    payloads_made_eab(&p, eab);
    ok(allows(&p, IPC_WITH_JWK, ACCOUNT, bound), "the one that we did");
    payloads_release(&p);

    begin = begin_of(JOB_REVOKE);
    ok(payloads_init(&p, &begin) && allows(&p, IPC_WITH_KID, "https://ca.test/r", revoke) &&
           allows(&p, IPC_WITH_CERTIFICATE, "https://ca.test/r", revoke),
       "a revocation of its certificate, by either key");
    ok(!allows(&p, IPC_WITH_KID, "https://ca.test/r", other), "of no other");
    payloads_release(&p);

    begin = begin_of(JOB_ROLLOVER);
    ok(payloads_init(&p, &begin) && allows(&p, IPC_ROLLOVER, "https://ca.test/k", ""),
       "a key rollover");
    ok(!allows(&p, IPC_WITH_KID, "https://ca.test/k", eab), "not with an inner JWS of others");
    payloads_made_rollover(&p, eab);
    ok(allows(&p, IPC_WITH_KID, "https://ca.test/k", eab), "with ours");
    payloads_release(&p);

    p = (struct payloads){0};
    ok(!allows(&p, IPC_WITH_JWK, ACCOUNT, ""), "without a job nothing is signed");
    free(closed), free(revoke), free(other), free(bound);
}

/* A profile that is required is never left out. */
static void test_required(void)
{
    struct ipc_begin begin = begin_of(JOB_ISSUE);
    struct payloads p;
    char *plain = acme_request_new_order(begin.names, "", "");

    begin.flags |= IPC_PROFILE_REQUIRED;
    ok(payloads_init(&p, &begin), "a job whose profile is required");
    ok(!allows(&p, IPC_WITH_KID, "https://ca.test/new", plain), "is not ordered without");
    payloads_release(&p);
    free(plain);
}

int main(void)
{
    test_issue();
    test_required();
    test_others();
    return done();
}
