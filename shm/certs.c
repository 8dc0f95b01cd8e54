#include "shm/certs.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/conf/conf.h"
#include "base/hash.h"

enum { HASHED = 18 }; /* "=", 16 digits, NUL */

char *cert_dir(char out[CERT_DIR_SIZE], const char *name)
{
    size_t n = 0;

    for (size_t i = 0; name[i] != '\0'; i++) {
        unsigned char c = (unsigned char)name[i];

        if (n + 4 > CERT_DIR_SIZE) {
            snprintf(out + CERT_DIR_SIZE - HASHED, HASHED, "=%016llx",
                     (unsigned long long)hash_text(HASH_START, name));
            return out;
        }
        if (i == 0 && c == '*' && name[1] == '.')
            out[n++] = '_';
        else if (isalnum(c) || c == '-' || c == ':' || (i > 0 && (c == '.' || c == '_')))
            out[n++] = (char)c;
        else
            n += (size_t)sprintf(out + n, "=%02x", c);
    }
    out[n] = '\0';
    return out;
}

const struct conf_cert *cert_configured(const struct conf *conf, const char *dir)
{
    char of[CERT_DIR_SIZE];

    for (size_t i = 0; i < conf->n_certs; i++)
        if (strcmp(cert_dir(of, conf->certs[i].name), dir) == 0)
            return &conf->certs[i];
    return NULL;
}

static bool is_it(const struct table *table, uint32_t i, const char *dir, struct cert_row *row)
{
    return cert_read(&table->cert[i], row) && strncmp(row->name, dir, sizeof row->name) == 0;
}

bool cert_find(const struct table *table, const char *dir, uint32_t guess, struct cert_row *row)
{
    if (guess < table_certs(table) && is_it(table, guess, dir, row))
        return true;
    for (uint32_t i = 0; i < table_certs(table); i++)
        if (is_it(table, i, dir, row))
            return true;
    return false;
}

/* First bits in the word: 8 bits of proof, 32 of candidate, 8 of name, 1 of partly, 3 of why,
 * 12 of error. */
enum {
    CANDIDATE_AT = 8,
    NAME_AT = 40,
    PARTLY_AT = 48,
    WHY_AT = 49,
    WHY_MASK = 7,
    ERROR_AT = 52
};

uint64_t cert_finding_pack(const struct cert_finding *f)
{
    uint64_t name = f->name > UINT8_MAX ? UINT8_MAX : f->name;
    uint64_t error = f->error > CERT_ERROR_MAX ? 0 : f->error;

    return error << ERROR_AT | (uint64_t)f->why << WHY_AT | (uint64_t)f->partly << PARTLY_AT |
           name << NAME_AT | (uint64_t)f->candidate << CANDIDATE_AT | (uint64_t)f->proof;
}

struct cert_finding cert_finding_unpack(uint64_t word)
{
    uint64_t proof = word & UINT8_MAX, why = word >> WHY_AT & WHY_MASK;

    return (struct cert_finding){
        .candidate = (uint32_t)(word >> CANDIDATE_AT),
        .proof = proof > CERT_PROOF_CHAIN ? CERT_PROOF_LOAD : (enum cert_proof)proof,
        .name = (uint32_t)(word >> NAME_AT & UINT8_MAX),
        .partly = word >> PARTLY_AT & 1,
        .why = why > CERT_WHY_CA_HASH ? CERT_WHY_OTHER : (enum cert_why)why,
        .error = (uint16_t)(word >> ERROR_AT & CERT_ERROR_MAX),
    };
}

void cert_loaded(const struct table *table, uint32_t index, uint32_t generation,
                 uint32_t *loaded, uint32_t *workers)
{
    struct child_row child;

    *loaded = *workers = 0;
    for (int r = 0; r < TABLE_WORKERS; r++) {
        const _Atomic uint32_t *has = &table->worker[r].cert_loaded[index];

        if (!table_row_used(table, r) || !child_read(&table->child[r], &child) ||
            child.state != CHILD_RUNNING || !worker_row_live(table, r))
            continue;
        ++*workers;
        *loaded += generation && atomic_load((_Atomic uint32_t *)(uintptr_t)has) == generation;
    }
}
