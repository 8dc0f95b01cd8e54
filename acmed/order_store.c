#include "acmed/order_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acmed/record.h"
#include "acmed/secret.h"

static const char key_name[] = "key.pem";
static const char text_name[] = "order";

static uint64_t hash(uint64_t h, const char *text)
{
    do
        h = (h ^ (uint8_t)*text) * UINT64_C(1099511628211); /* FNV-1a, with the NUL */
    while (*text++);
    return h;
}

uint64_t order_wanted(const char *directory, const char *profile, const char *const *names,
                      size_t n_names)
{
    uint64_t h = hash(hash(UINT64_C(14695981039346656037), directory), profile);

    for (size_t i = 0; i < n_names; i++)
        h = hash(h, names[i]);
    return h;
}

static bool parse(const char *text, size_t n, uint64_t wanted, struct order *order)
{
    struct str rest = str_make(text, n), key, value;
    uint64_t was = 0;
    int got;

    while ((got = record_line(&rest, &key, &value)) > 0) {
        if (str_eq(key, STR("for")) && record_number(value, &was))
            continue;
        if (str_eq(key, STR("begun")) && record_number(value, &order->begun_s))
            continue;
        if (!str_eq(key, STR("url")) || !record_text(value, order->url, sizeof order->url))
            return false;
    }
    return got == 0 && was == wanted;
}

void order_load(int folder, uint64_t wanted, struct order *order)
{
    size_t n = 0;
    char *text = record_read(folder, text_name, RECORD_TEXT_MAX, &n);

    *order = (struct order){0};
    if (text && parse(text, n, wanted, order))
        order->key = record_read_secret(folder, key_name, &order->n_key);
    if (!order->key)
        order->url[0] = '\0';
    free(text);
}

void order_release(struct order *order)
{
    secret_free(order->key);
    *order = (struct order){0};
}

bool order_is_there(int folder)
{
    return faccessat(folder, text_name, F_OK, 0) == 0;
}

int order_save_key(int folder, const char *key, size_t n_key)
{
    record_remove(folder, text_name); /* an older one is not for this key */
    return record_write(folder, key_name, key, n_key);
}

int order_save_url(int folder, uint64_t wanted, const struct order *order)
{
    char text[JOB_URL_SIZE + 96];
    int n =
        snprintf(text, sizeof text, "for=%llu\nbegun=%llu\nurl=%s\n",
                 (unsigned long long)wanted, (unsigned long long)order->begun_s, order->url);

    return record_write(folder, text_name, text, (size_t)n);
}

void order_forget(int folder)
{
    record_remove(folder, text_name);
    record_remove(folder, key_name);
}
