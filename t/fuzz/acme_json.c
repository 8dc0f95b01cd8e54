/* Documents and headers of a CA: whatever comes, each reader ends, and what it gives out is
 * bounded and holds what it says. */
#include "acmed/net/acme_json.h"
#include "acmed/net/ipc.h"
#include "acmed/net/transport.h"
#include "t/fuzz/fuzz.h"

static void check_url(const char *url)
{
    HOLDS(url[0] == '\0' || ipc_is_url(str_from(url)));
}

static void check_problem(const struct acme_problem *p)
{
    HOLDS(fuzz_one_line(str_from(p->type)) && fuzz_one_line(str_from(p->detail)));
    HOLDS(fuzz_one_line(str_from(p->name)) && p->status <= 999);
}

static void check_documents(struct str text)
{
    static struct acme_directory directory;
    static struct acme_order order;
    static struct acme_authorization authorization;
    struct acme_renewal renewal;
    struct acme_problem problem;
    enum acme_status status;

    if (acme_json_directory(text, &directory)) {
        check_url(directory.new_order);
        check_url(directory.renewal_info);
        HOLDS(fuzz_one_line(str_from(directory.profiles)));
    }
    acme_json_account(text, &status);
    if (acme_json_order(text, &order)) {
        HOLDS(order.n_authorizations <= JOB_NAMES_MAX && order.n_identifiers <= JOB_NAMES_MAX);
        for (size_t i = 0; i < order.n_authorizations; i++)
            check_url(order.authorizations[i]);
        check_problem(&order.error);
    }
    if (acme_json_authorization(text, &authorization))
        for (size_t i = 0; i < authorization.n_challenges; i++) {
            HOLDS(ipc_is_token(str_from(authorization.challenges[i].token)));
            check_url(authorization.challenges[i].url);
            check_problem(&authorization.challenges[i].error);
        }
    if (acme_json_renewal(text, &renewal))
        HOLDS(renewal.end_wall_ms > renewal.start_wall_ms);
    if (acme_json_problem(text, &problem))
        check_problem(&problem);
}

static void check_header(struct str line)
{
    struct transport_reply reply = {0};

    transport_header(&reply, line, UINT64_C(1795396817000));
    check_url(reply.location);
    HOLDS(reply.retry_after_s <= TRANSPORT_RETRY_MAX_S);
    for (size_t i = 0; i < reply.n_alternates; i++)
        check_url(reply.alternates[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = fuzz_copy(data, size);

    check_documents(str_make(copy, size));
    check_header(str_make(copy, size));
    free(copy);
    return 0;
}
