/* The password of an operator's file, from another file or typed without echo. Never from the
 * command line, which every user of the host can see. `pasgate cert import` only. */
#ifndef ACMED_KEY_PASSWORD_H
#define ACMED_KEY_PASSWORD_H

enum { PASSWORD_MAX = 1024 };

/* The first line of a file: a secret (key/secret.h). NULL with errno; EFBIG: too long. */
char *password_of_file(const char *path);

/* Asks at the terminal, without echo. NULL with errno; ENXIO: no terminal; EINTR: cancelled
 * with ^C. */
char *password_ask(const char *of_what);

#endif
