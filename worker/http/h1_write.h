/*
 * The head of a response as HTTP/1.1 text, from what was decided (http/headers.h). Framing and
 * the state of the connection are generated here. Worker only, pure.
 */
#ifndef WORKER_HTTP_H1_WRITE_H
#define WORKER_HTTP_H1_WRITE_H

#include <stdbool.h>
#include <sys/types.h>

#include "worker/http/http.h"
#include "worker/http/text_out.h"

/* "100 Continue" for the client. */
#define H1_WRITE_CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

/* How a response's body is framed for a client of HTTP/1.x: LENGTH and NONE unchanged; one of
 * unknown length in chunks to 1.1 clients, and until close to 1.0 clients (case 98; then the
 * connection must close). */
enum http_body h1_write_body(const struct http_head *, unsigned client_minor);

/* The head as text. keep_alive: the connection stays open; forced off if h1_write_body() says
 * UNTIL_CLOSE. Returns its length, or -1 if there may not be enough room. */
ssize_t h1_write_response(struct text_out *, const struct http_head *, bool keep_alive,
                          unsigned client_minor);

/* Trailers as text: the fields, without the empty line behind them. Returns their length, or -1
 * if there may not be enough room. */
ssize_t h1_write_trailers(struct text_out *, const struct http_field *fields, size_t n);

#endif
