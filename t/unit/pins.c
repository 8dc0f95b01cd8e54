/* Which credentials and challenges authenticate a connection (worker/upstream/pins.h). */
#include "worker/upstream/pins.h"

#include "t/unit/tap.h"
#include "worker/http/http.h"

static bool request_binds(struct str authorization)
{
    static struct http_request r;

    r.nfields = 2;
    r.fields[0] = (struct http_field){STR("Accept"), STR("NTLM"), HTTP_F_ACCEPT};
    r.fields[1] =
        (struct http_field){STR("Authorization"), authorization, HTTP_F_AUTHORIZATION};
    return pins_bound_by_request(&r);
}

static bool response_binds(uint16_t status, struct str first, struct str second)
{
    static struct http_response r;

    r.status = status;
    r.nfields = 3;
    r.fields[0] = (struct http_field){STR("X-Authenticate"), STR("NTLM"), HTTP_F_OTHER};
    r.fields[1] = (struct http_field){STR("WWW-Authenticate"), first, HTTP_F_OTHER};
    r.fields[2] = (struct http_field){STR("www-authenticate"), second, HTTP_F_OTHER};
    return pins_bound_by_response(&r);
}

int main(void)
{
    static const struct str none = STR_INIT("Basic realm=\"a, b\"");

    ok(request_binds(STR("NTLM TlRMTVNTUAAB")), "NTLM");
    ok(request_binds(STR("ntlm TlRMTVNTUAAB")), "without case");
    ok(request_binds(STR("Negotiate YII")), "Negotiate");
    ok(request_binds(STR("Negotiate")), "without a token");
    ok(!request_binds(STR("Basic NTLM")), "Basic does not");
    ok(!request_binds(STR("Bearer Negotiate")), "nor Bearer");
    ok(!request_binds(STR("NTLMv3 x")), "nor what only begins so");
    ok(!request_binds(STR_EMPTY), "nor nothing");

    ok(response_binds(401, STR("NTLM"), none), "a challenge");
    ok(response_binds(401, none, STR("Negotiate")), "in any line");
    ok(response_binds(401, STR("Digest realm=\"x\", nonce=\"y\", Negotiate"), none),
       "in a list");
    ok(response_binds(401, STR("NTLM TlRMTVNTUAAC"), none), "with a token");
    ok(!response_binds(401, none, none), "Basic does not");
    ok(response_binds(200, STR("Negotiate oYG"), none), "the last step, with the response");
    ok(response_binds(407, STR("NTLM"), none), "with any status");
    return done();
}
