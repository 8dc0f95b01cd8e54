#include "shm/certs.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { HASHED = 18 }; /* "=", 16 digits, NUL */

static uint64_t hash(const char *text)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */

    for (; *text; text++)
        h = (h ^ (uint8_t)*text) * UINT64_C(1099511628211);
    return h;
}

char *cert_folder(char out[CERT_FOLDER_SIZE], const char *name)
{
    size_t n = 0;

    for (size_t i = 0; name[i] != '\0'; i++) {
        unsigned char c = (unsigned char)name[i];

        if (n + 4 > CERT_FOLDER_SIZE) {
            snprintf(out + CERT_FOLDER_SIZE - HASHED, HASHED, "=%016llx",
                     (unsigned long long)hash(name));
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

static bool is_it(const struct table *table, uint32_t i, const char *folder,
                  struct cert_row *row)
{
    return cert_read(&table->cert[i], row) && strncmp(row->name, folder, sizeof row->name) == 0;
}

bool cert_find(const struct table *table, const char *folder, uint32_t guess,
               struct cert_row *row)
{
    if (guess < TABLE_CERTS && is_it(table, guess, folder, row))
        return true;
    for (uint32_t i = 0; i < TABLE_CERTS; i++)
        if (is_it(table, i, folder, row))
            return true;
    return false;
}
