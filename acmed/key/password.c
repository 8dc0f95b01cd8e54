#include "acmed/key/password.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "acmed/key/secret.h"
#include "base/escape.h"
#include "base/fd.h"

enum { INTERRUPT = 3, END = 4, ERASE = 0x7f, BACKSPACE = 8 }; /* ^C, ^D */

char *password_of_file(const char *path)
{
    int error, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t n = 0;
    char *text = fd < 0 ? NULL : secret_read(fd, PASSWORD_MAX, &n);

    error = errno;
    fd_close(&fd);
    if (text)
        text[strcspn(text, "\r\n")] = '\0';
    errno = error;
    return text;
}

/* Reads up to the end of the line. 0, or -1 with errno. */
static int password_read_line(int tty, char *out)
{
    size_t n = 0;
    char c;

    for (;;) {
        if (read(tty, &c, 1) != 1 || c == INTERRUPT) {
            errno = EINTR;
            return -1;
        }
        if (c == '\n' || c == '\r' || c == END)
            return 0;
        if ((c == ERASE || c == BACKSPACE) && n > 0)
            out[--n] = '\0';
        else if (c != ERASE && c != BACKSPACE && n < PASSWORD_MAX)
            out[n++] = c;
    }
}

/* A signal that ends the process. It is delayed until the terminal echoes again. */
static volatile sig_atomic_t ending;

static void on_ending(int signal)
{
    ending = signal;
}

static const int endings[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT};

static void endings_set(const struct sigaction now[4], struct sigaction before[4])
{
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        sigaction(endings[i], &now[i], before ? &before[i] : NULL);
}

/* Reads single bytes with ISIG off and delays signals from elsewhere, so that nothing can leave
 * the terminal without echo. */
static int ask_at(int tty, const char *of_what, char *out)
{
    char prompt[512];
    struct sigaction catch[4], as_before[4];
    struct termios before, quiet;
    size_t n;
    int rc, error;

    if (tcgetattr(tty, &before) < 0)
        return -1;
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG);
    quiet.c_cc[VMIN] = 1;
    quiet.c_cc[VTIME] = 0;
    for (size_t i = 0; i < 4; i++)
        catch[i] = (struct sigaction){.sa_handler = on_ending};
    endings_set(catch, as_before);
    if (tcsetattr(tty, TCSAFLUSH, &quiet) < 0) {
        endings_set(as_before, NULL);
        return -1;
    }
    n = escape_text(prompt, sizeof prompt - 2, str_from(of_what), ESCAPE_LINE);
    memcpy(prompt + n, ": ", 2);
    rc = fd_write_all(tty, prompt, n + 2);
    if (rc == 0 && !ending)
        rc = password_read_line(tty, out);
    error = errno;
    tcsetattr(tty, TCSAFLUSH, &before);
    fd_write_all(tty, "\n", 1);
    endings_set(as_before, NULL);
    if (ending)
        raise((int)ending);
    errno = error;
    return rc;
}

char *password_ask(const char *of_what)
{
    int error, tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    char *out = tty < 0 ? NULL : secret_new(PASSWORD_MAX + 1);

    if (tty < 0)
        errno = ENXIO;
    if (out && ask_at(tty, of_what, out) < 0) {
        error = errno;
        secret_free(out);
        out = NULL;
        errno = error;
    }
    error = errno;
    fd_close(&tty);
    errno = error;
    return out;
}
