#include "acmed/cert/leftover.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acmed/order/issue.h"
#include "acmed/order/issue_dns.h"
#include "base/conf/conf.h"
#include "base/log.h"
#include "base/str.h"
#include "shm/certs.h"

struct leftover {
    struct leftover *next;
    char name[CERT_DIR_SIZE];
    struct conf_cert conf; /* only its name is known */
    struct issue issue;
};

static void leftover_forget(struct leftover *it)
{
    issue_release(&it->issue);
    free(it);
}

/* NULL: it has no records. */
static struct leftover *leftover_take(struct ca_set *ca_set, const char *dir, uint64_t now_ms)
{
    struct leftover *it = calloc(1, sizeof *it);

    if (!it)
        return NULL;
    snprintf(it->name, sizeof it->name, "%s", dir);
    it->conf.name = it->name;
    issue_init(&it->issue, ca_set, &it->conf, it->name, now_ms);
    if (it->issue.dns.records.n > 0 && *ca_set->heritage->conf->acme.hook) {
        issue_dns_all_go(&it->issue);
        return it;
    }
    if (it->issue.dns.records.n > 0)
        log_warn("certificate %s is no longer in the configuration; %zu TXT record%s of it "
                 "stay%s in DNS because acme.hook is not set: set it and reload, or delete by "
                 "hand what the hook published",
                 it->name, it->issue.dns.records.n, str_plural(it->issue.dns.records.n),
                 it->issue.dns.records.n == 1 ? "s" : "");
    leftover_forget(it);
    return NULL;
}

struct leftover *leftover_find(struct ca_set *ca_set, uint64_t now_ms)
{
    const struct conf *conf = ca_set->heritage->conf;
    char path[PATH_MAX];
    struct leftover *list = NULL, *it;
    DIR *orders;

    snprintf(path, sizeof path, "%s/orders", conf->acme.store);
    orders = opendir(path);
    for (const struct dirent *e; orders && (e = readdir(orders));) {
        if (e->d_name[0] == '.' || strlen(e->d_name) >= CERT_DIR_SIZE ||
            cert_configured(conf, e->d_name) ||
            !(it = leftover_take(ca_set, e->d_name, now_ms)))
            continue;
        log_info("certificate %s is no longer in the configuration; removing %zu TXT record%s "
                 "of it",
                 it->name, it->issue.dns.records.n, str_plural(it->issue.dns.records.n));
        it->next = list;
        list = it;
    }
    if (orders)
        closedir(orders);
    return list;
}

void leftover_release(struct leftover **list)
{
    while (*list) {
        struct leftover *it = *list;

        *list = it->next;
        leftover_forget(it);
    }
}

void leftover_tick(struct leftover **list, uint64_t now_ms)
{
    while (*list) {
        struct leftover *it = *list;

        issue_dns_look(&it->issue, now_ms);
        if (it->issue.dns.records.n > 0) {
            list = &it->next;
            continue;
        }
        *list = it->next;
        leftover_forget(it);
    }
}
