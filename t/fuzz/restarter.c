/* What the Docker Engine and an ill instance may say to the restarter: whatever comes, each
 * reader ends, texts are one line, names are harmless in a path, and logs lose only their
 * begin. */
#include "healthd/restarter/diagnostics.h"
#include "healthd/restarter/docker.h"
#include "healthd/restarter/tail.h"
#include "t/fuzz/fuzz.h"

enum { NAMES = 3, KEPT = 100 };

static void check_text(const char *text, size_t cap)
{
    HOLDS(strnlen(text, cap) < cap && fuzz_one_line(str_from(text)));
}

static void check_engine(const char *json, size_t n)
{
    struct docker_state state;
    struct docker_watch watch = {0};
    struct restart_result result = {0};
    char message[DOCKER_TEXT];
    char *kept;

    if (docker_parse_inspect(json, n, &state)) {
        for (uint64_t now = 0; now < 3000; now += 500)
            docker_look(&watch, &state, now, &result);
        check_text(result.text, sizeof result.text);
    }
    check_text(state.started, sizeof state.started);
    check_text(state.error, sizeof state.error);
    check_text(state.checked, sizeof state.checked);
    docker_parse_error(json, n, message);
    check_text(message, sizeof message);
    kept = docker_describe(json, n);
    free(kept);
}

static void check_pas(const char *json, size_t n)
{
    char names[NAMES][DIAGNOSTICS_ID], *kept;
    size_t found = diagnostics_applications(json, n, names, NAMES);

    HOLDS(found <= NAMES);
    for (size_t i = 0; i < found; i++)
        HOLDS(names[i][0] != '.' && names[i][strcspn(names[i], "/?#% \r\n")] == '\0');
    found = diagnostics_agents(json, n, names, NAMES);
    HOLDS(found <= NAMES);
    kept = diagnostics_harmless(json, n);
    free(kept);
}

/* However it is cut into pieces, the same comes of it. */
static void check_log(const char *bytes, size_t n)
{
    struct tail whole, pieces;
    struct docker_log one = {.into = &whole}, many = {.into = &pieces};
    char line[40];
    size_t a, b;

    HOLDS(tail_init(&whole, KEPT) == 0 && tail_init(&pieces, KEPT) == 0);
    docker_log_add(&one, bytes, n);
    for (size_t i = 0; i < n; i += i % 5 + 1)
        docker_log_add(&many, bytes + i, n - i < i % 5 + 1 ? n - i : i % 5 + 1);
    HOLDS(whole.total == pieces.total && whole.total <= n);
    check_text(tail_last_line(&whole, line, sizeof line), sizeof line);
    const char *p = tail_bytes(&whole, &a), *q = tail_bytes(&pieces, &b);
    HOLDS(a == b && a <= KEPT && memcmp(p, q, a) == 0);
    tail_release(&whole);
    tail_release(&pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = fuzz_copy(data, size);

    check_engine(copy, size);
    check_pas(copy, size);
    check_log(copy, size);
    free(copy);
    return 0;
}
