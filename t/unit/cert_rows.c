/* Certificates and their rows find each other by name. */
#include <stdlib.h>

#include "shm/certs.h"
#include "t/unit/tap.h"

static void test_folder(void)
{
    static const struct {
        const char *name, *dir;
    } cases[] = {
        {"shop.test", "shop.test"},
        {"*.shop.test", "_.shop.test"},
        {"_.shop.test", "=5f.shop.test"},
        {"..", "=2e."},
        {".", "=2e"},
        {"a/../b", "a=2f..=2fb"},
        {"*", "=2a"},
        {"a_b", "a_b"},
        {"2001:db8::1", "2001:db8::1"},
        {"=5f", "=3d5f"},
        {"", ""},
    };
    char dir[CERT_DIR_SIZE], other[CERT_DIR_SIZE], name[600];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        is_str(cert_dir(dir, cases[i].name), cases[i].dir, "folder of %s", cases[i].name);
    memset(name, 'a', 252);
    name[252] = '\0';
    is_str(cert_dir(dir, name), name, "a name of the greatest length fits");
    memset(name, '/', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    ok(strlen(cert_dir(dir, name)) < CERT_DIR_SIZE, "a longer one is cut");
    name[500] = 'x';
    ok(strcmp(dir, cert_dir(other, name)) != 0, "and still its own");
}

static void publish(struct table *table, int i, const char *name, uint32_t generation)
{
    struct cert_row row = {.generation = generation};

    snprintf(row.name, sizeof row.name, "%s", name);
    cert_publish(&table->cert[i], &row);
}

static void test_find(struct table *table)
{
    struct cert_row row;

    ok(!cert_find(table, "a.test", 0, &row), "nothing in an empty table");
    table->cert_rows = TABLE_CERTS - 1;
    publish(table, 0, "a.test", 3);
    publish(table, TABLE_CERTS - 1, "b.test", 4);
    ok(!cert_find(table, "b.test", TABLE_CERTS - 1, &row),
       "a row that was not reserved is none");
    table->cert_rows = TABLE_CERTS + 1;
    ok(cert_find(table, "a.test", 0, &row) && row.generation == 3, "found where it should be");
    ok(cert_find(table, "b.test", 0, &row) && row.generation == 4, "found where it went");
    ok(cert_find(table, "b.test", UINT32_MAX, &row), "whatever the guess");
    seq_write_begin(&table->cert[0].seq);
    ok(!cert_find(table, "a.test", 0, &row), "not while it is being written");
    ok(cert_find(table, "b.test", 0, &row), "which hides no other");
}

int main(void)
{
    struct table *table = aligned_alloc(TABLE_PAGE, sizeof *table);

    if (!table)
        return 1;
    memset(table, 0, sizeof *table);
    test_folder();
    test_find(table);
    free(table);
    return done();
}
