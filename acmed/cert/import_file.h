/* A certificate that somebody else made (PKCS #12, or PEM whose key may have a password)
 * becomes that of the configuration: its configured files are written, or, of one that is
 * ordered, a generation of the store. For `pasgate cert import FILE`: first reads, as the user
 * who may read keys; then writes, files as that one, the store as the user whom it belongs to.
 */
#ifndef ACMED_CERT_IMPORT_FILE_H
#define ACMED_CERT_IMPORT_FILE_H

#include <stdbool.h>
#include <stdio.h>

struct conf;
struct import_file;

struct import_wish {
    const char *file;
    const char *key;           /* NULL: in the same file */
    const char *password_file; /* NULL: asked for at the terminal, when it is needed */
    const char *name;          /* of the certificate; NULL: the one that it fits */
    bool dry_run;
    bool force; /* replace files that are there and hold something else */
};

/* Reads the files, asks for the password, and finds the certificate that it is for. NULL after
 * a message to standard error. conf and wish live as long as it. */
struct import_file *import_file_read(const struct conf *conf,
                                     const struct import_wish *override);
void import_file_free(struct import_file *import); /* wipes; takes NULL */

/* Goes into the store, which must not be in use? Else into files. */
bool import_file_to_store(const struct import_file *import);

/* Writes it, or with dry_run only tells, to out. 0, or -1 after a message to standard error. */
int import_file_write(struct import_file *import, FILE *out);

#endif
