/* `pasgate cert import FILE`: a certificate from elsewhere (PKCS #12, or PEM whose key may have
 * a password) becomes that of the configuration. Its configured files are written, or, if it is
 * an ordered one, a generation of the store. First it reads, as the user who may read keys;
 * then it writes, configured files as that user, the store as the user who owns it. */
#ifndef ACMED_CERT_IMPORT_FILE_H
#define ACMED_CERT_IMPORT_FILE_H

#include <stdbool.h>
#include <stdio.h>

struct conf;
struct import_file;

struct import_request {
    const char *file;
    const char *key;           /* NULL: in the same file */
    const char *password_file; /* NULL: asked for at the terminal if needed */
    const char *name;          /* of the certificate; NULL: the one that the file fits */
    bool dry_run;
    bool force; /* replace files that exist and hold something else */
};

/* Reads the files, asks for the password, and finds the certificate that they are for. NULL
 * after a message to standard error. conf and request (the command line's options) must
 * outlive the result. */
struct import_file *import_file_read(const struct conf *conf,
                                     const struct import_request *request);
void import_file_free(struct import_file *import); /* wipes; takes NULL */

/* true: it goes into the store, which must not be in use; false: into files. */
bool import_file_to_store(const struct import_file *import);

/* Writes it, or with dry_run only reports, to out. 0, or -1 after a message on stderr. */
int import_file_write(struct import_file *import, FILE *out);

#endif
