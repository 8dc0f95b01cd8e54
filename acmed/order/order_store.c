#include "acmed/order/order_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acmed/key/secret.h"
#include "acmed/order/kvfile.h"
#include "base/hash.h"

static const char key_name[] = "key.pem";
static const char text_name[] = "order";

uint64_t order_wanted(const char *directory, const char *profile, const char *const *names,
                      size_t n_names)
{
    uint64_t h = hash_name(hash_name(HASH_START, directory), profile), sum = 0;

    /* A sum, because the order of the names in the configuration does not matter. */
    for (size_t i = 0; i < n_names; i++)
        sum += hash_name(h, names[i]);
    return n_names ? sum : h;
}

static bool order_store_parse(const char *text, size_t n, uint64_t wanted, struct order *order)
{
    struct str rest = str_make(text, n), key, value;
    uint64_t was = 0;
    int got;

    while ((got = kvfile_line(&rest, &key, &value)) > 0) {
        if (str_eq(key, STR("for")) && kvfile_number(value, &was))
            continue;
        if (str_eq(key, STR("begun")) && kvfile_number(value, &order->begun_s))
            continue;
        if (!str_eq(key, STR("url")) || !kvfile_text(value, order->url, sizeof order->url))
            return false;
    }
    return got == 0 && was == wanted;
}

void order_load(int dir, uint64_t wanted, struct order *order)
{
    size_t n = 0;
    char *text = kvfile_read(dir, text_name, KVFILE_TEXT_MAX, &n);

    *order = (struct order){0};
    if (text && order_store_parse(text, n, wanted, order))
        order->key = kvfile_read_secret(dir, key_name, &order->n_key);
    if (!order->key)
        order->url[0] = '\0';
    free(text);
}

void order_release(struct order *order)
{
    secret_free(order->key);
    *order = (struct order){0};
}

bool order_is_there(int dir)
{
    return faccessat(dir, text_name, F_OK, 0) == 0;
}

int order_save_key(int dir, const char *key, size_t n_key)
{
    kvfile_remove(dir, text_name); /* an older URL does not belong to this key */
    return kvfile_write(dir, key_name, key, n_key);
}

int order_save_url(int dir, uint64_t wanted, const struct order *order)
{
    char text[JOB_URL_SIZE + 96];
    int n =
        snprintf(text, sizeof text, "for=%llu\nbegun=%llu\nurl=%s\n",
                 (unsigned long long)wanted, (unsigned long long)order->begun_s, order->url);

    return kvfile_write(dir, text_name, text, (size_t)n);
}

void order_forget(int dir)
{
    kvfile_remove(dir, text_name);
    kvfile_remove(dir, key_name);
}
