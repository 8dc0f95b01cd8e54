/* Whose fault an error answer is: what follows of each sequence of them. */
#include "worker/upstream/error_score.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/conf/conf.h"
#include "base/log.h"
#include "t/unit/tap.h"
#include "worker/core/core.h"
#include "worker/upstream/backends.h"

static struct conf_backend conf[2] = {{.name = "pas1"}, {.name = "pas2"}};
static struct worker worker;
static struct pool_view pool;
static struct backend_view pas[2];
static struct worker_backend cell[2];

static void afresh(void)
{
    pool = (struct pool_view){.worker = &worker, .backends = pas, .nbackends = 2};
    for (int i = 0; i < 2; i++)
        pas[i] = (struct backend_view){.conf = &conf[i], .pool = &pool, .cell = &cell[i]};
}

/* One request that pas1 errs at, and pas2 answers so. */
static void asked_again(unsigned status)
{
    error_score_response(&pas[1], &pas[0], status);
}

static void responded(int i, unsigned status)
{
    error_score_response(&pas[i], NULL, status);
}

static void one_errs(void)
{
    afresh();
    is_int(error_score_permille(&pas[0]), 1000, "nothing known: all of its weight");
    asked_again(200);
    is_int(error_score_permille(&pas[0]), 1000, "once may be chance");
    asked_again(404);
    is_int(error_score_permille(&pas[0]), ERROR_SCORE_PERMILLE,
           "twice is not; a 404 is a good answer");
    is_int(cell[0].error_score_high, 1, "and the table has it");
    is_int(error_score_permille(&pas[1]), 1000, "the other one is not to blame");
    for (int i = 0; i < 1000; i++)
        asked_again(200);
    for (int i = 1; i < ERROR_SCORE_MOST; i++)
        responded(0, 200);
    is_int(error_score_permille(&pas[0]), ERROR_SCORE_PERMILLE,
           "it has to answer well for a while");
    responded(0, 200);
    is_int(error_score_permille(&pas[0]), 1000, "then it is cleared, however long it erred");
    is_int(cell[0].error_score_high, 0, "in the table, too");
    responded(0, 200);
    asked_again(200);
    asked_again(200);
    is_int(error_score_permille(&pas[0]), ERROR_SCORE_PERMILLE, "and can be to blame again");
}

/* Errors of which others are no better are the application's own. */
static void all_err(void)
{
    afresh();
    for (int i = 0; i < 100; i++)
        asked_again(500);
    for (int i = 0; i < 100; i++)
        responded(0, 500);
    is_int(error_score_permille(&pas[0]), 1000, "nobody is to blame where all err");
}

/* One that errs in `errs` of 12 requests, for which others are asked. */
static bool found(int errs)
{
    bool ever = false;

    afresh();
    for (int i = 0; i < 1200; i++) {
        if (i * errs / 12 != (i + 1) * errs / 12)
            asked_again(200);
        else
            responded(0, 200);
        ever |= error_score_permille(&pas[0]) < 1000;
    }
    return ever;
}

static void share(void)
{
    ok(!found(1) && !found(3), "errors now and then are not held against it");
    ok(found(6) && found(12), "more than a third are");
}

/* Lines of the log with this text. */
static int told(int fd, const char *text)
{
    static char log[65536];
    ssize_t n = pread(fd, log, sizeof log - 1, 0);
    int found_it = 0;

    log[n > 0 ? n : 0] = '\0';
    for (const char *p = log; (p = strstr(p, text)) != NULL; p++)
        found_it++;
    return found_it;
}

static void in_the_log(void)
{
    int fd = memfd_create("log", MFD_CLOEXEC);

    log_to_fd(fd);
    afresh();
    for (int turn = 0; turn < 3; turn++) {
        asked_again(200);
        asked_again(200);
        for (int i = 0; i < ERROR_SCORE_MOST; i++)
            responded(0, 200);
    }
    log_to_fd(STDERR_FILENO);
    is_int(told(fd, "pas1 fails requests that other backends serve"), 1,
           "the log is told once of what comes and goes");
    is_int(told(fd, "pas1 serves requests as others do again; weight restored"), 1,
           "and of the end of what it was told");
    close(fd);
}

static void vain(void)
{
    afresh();
    ok(error_score_retries_help(&pool), "nothing known: it may help");
    for (int i = 0; i < ERROR_SCORE_USELESS; i++)
        responded(1, 500);
    ok(error_score_retries_help(&pool), "who was asked once only tells nothing of that");
    asked_again(500);
    asked_again(500);
    ok(error_score_retries_help(&pool), "twice for nothing");
    asked_again(500);
    ok(!error_score_retries_help(&pool), "three times");
    for (int i = 0; i < 1000; i++)
        asked_again(500);
    responded(1, 200);
    ok(!error_score_retries_help(&pool),
       "a good first answer does not show that a second one helps");
    asked_again(200);
    ok(error_score_retries_help(&pool), "one that helped does");

    for (int i = 0; i < ERROR_SCORE_USELESS; i++)
        asked_again(500);
    worker.loop.now_ms += ERROR_SCORE_USELESS_MS;
    ok(!error_score_retries_help(&pool), "what was learnt holds for a while");
    worker.loop.now_ms += 1;
    ok(error_score_retries_help(&pool), "but an old failure says nothing of this one");
    asked_again(500);
    asked_again(500);
    ok(error_score_retries_help(&pool), "it is learnt anew");
    asked_again(500);
    ok(!error_score_retries_help(&pool), "from as many");
}

int main(void)
{
    one_errs();
    all_err();
    share();
    in_the_log();
    vain();
    return done();
}
