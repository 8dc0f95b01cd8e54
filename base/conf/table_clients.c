/* conf/table_clients.c - rows of the table of settings: what one client may have of what all
 * share. */
#include "base/conf/rows.h"

static const struct conf_setting client_rows[] = {
    {"connections", &conf_count, AT(conf_per_client, connections), .def = "4096", .zero = "off",
     .min = 1, .max = 10000000,
     .text = "Connections at the same time; one more is closed at once. 4096 is a quarter of "
             "what one worker takes by default, and the browsers of a thousand people with "
             "four connections each."},
    {"connection_rate", &conf_count, AT(conf_per_client, connection_rate), .def = "500",
     .zero = "off", .min = 1, .max = 1000000,
     .text = "New connections per second, and four times as many at once; more are closed at "
             "once. 500 full TLS handshakes take about half of a CPU. An office that comes "
             "back after a network failure needs all its connections within some seconds."},
    {"requests", &conf_count, AT(conf_per_client, requests), .def = "1024", .zero = "off",
     .min = 1, .max = 10000000,
     .text = "Requests in progress: from the end of the header until the client has the "
             "response; one more gets 503. Large offices have some hundred, and most sites "
             "have fewer slots at all their backends together. Open WebSockets count."},
    {"request_rate", &conf_count, AT(conf_per_client, request_rate), .def = "1000",
     .zero = "off", .min = 1, .max = 1000000,
     .text = "Requests per second, and four times as many at once; more get 429, and their "
             "connection is closed. 1000 is twenty-five pages of forty requests each, every "
             "second."},
    {"bytes", &conf_bytes, AT(conf_per_client, bytes), .def = "64m", .zero = "off",
     .min = 64 * KIB, .max = 2047 * MIB,
     .text = "What its requests and responses may hold of limits.memory, in all workers "
             "together. Beyond that a new request gets 503, as does one whose body is being "
             "collected, and no more of a response is kept for a client that reads slowly. "
             "64m is a quarter of what one worker has by default: 1024 requests with a "
             "header and a small body take half of it."},
    {"offences", &conf_count, AT(conf_per_client, offences), .def = "120", .zero = "off",
     .min = 2, .max = 1000000,
     .text =
         "How often per minute it may break the protocol or stop in the middle: malformed "
         "requests and handshakes, handshakes and headers that are not completed in time, "
         "connections that end within a header or body, bodies and responses below the "
         "minimum rates. Ten requests make up for one. Beyond half of it the two rates are a "
         "tenth; beyond all of it the client is refused for the time of refuse. So one "
         "bad program in an office that works does not stop the office."},
    {"refuse", &conf_ms, AT(conf_per_client, refuse_ms), .def = "60s", .min = SECONDS,
     .max = DAYS,
     .text = "How long a client is refused after too many offences: new connections are "
             "closed at once, and requests get 429."},
    {"exempt", &conf_network, MANY(conf_per_client, exempt), .max = CONF_MAX_TRUSTED,
     .text = "Networks whose clients have none of these limits: monitoring, or a load "
             "balancer that works below HTTP, behind which all clients have one address. Not "
             "given, or empty: this host itself (127.0.0.0/8 and ::1). The connections of "
             "load balancers in trusted are exempt in any case: there the limits of requests "
             "are those of the clients that they report."},
    END};
const struct conf_section conf_client_section = {
    "limits.per_client",
    "What one client may have of what all share, in all workers together. A client is an IPv4 "
    "address, or an IPv6 network of 64 bits; for requests it is the one that trusted load "
    "balancers report. off: no limit. The defaults are far above what a large office behind "
    "one address needs, and far below what would leave nothing for others. Each refusal is "
    "counted by its limit (client_refusals), and the log names the client. Each worker "
    "remembers 2048 clients, and forgets those without connections first; a client that it "
    "cannot remember has no limits. Listeners with serve = status have none.",
    client_rows,
    sizeof(struct conf_per_client),
    NULL,
    NULL,
};
