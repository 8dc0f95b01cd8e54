/* conf/table_timeouts.c - rows of the table of settings: how long each part of an exchange may
 * take. */
#include "base/conf/rows.h"

static const struct conf_setting timeout_rows[] = {
    {"handshake", &conf_ms, AT(conf_timeouts, handshake_ms), .def = "10s", .min = 100 * MS,
     .max = 10 * MINUTES, .text = "The whole TLS handshake."},
    {"header", &conf_ms, AT(conf_timeouts, header_ms), .def = "10s", .min = 100 * MS,
     .max = 10 * MINUTES,
     .text = "The whole header of a request, from its first byte; after that, 408."},
    {"body", &conf_ms, AT(conf_timeouts, body_ms), .def = "30s", .min = 100 * MS, .max = HOURS,
     .flags = IN_ROUTE,
     .text = "A client that is sending a body: the time between two pieces. "
             "limits.min_body_rate bounds the total."},
    {"idle", &conf_ms, AT(conf_timeouts, idle_ms), .def = "60s", .min = 100 * MS, .max = HOURS,
     .text = "A client's connection, between two requests."},
    {"send", &conf_ms, AT(conf_timeouts, send_ms), .def = "30s", .min = 100 * MS, .max = HOURS,
     .flags = IN_ROUTE,
     .text = "A client that does not read the response; it is then reset. For one that reads "
             "slowly, see limits.min_read_rate."},
    {"connect", &conf_ms, AT(conf_timeouts, connect_ms), .def = "3s", .min = 10 * MS,
     .max = MINUTES, .flags = IN_ROUTE,
     .text = "Connecting to a backend; after that the next backend is tried."},
    {"first_byte", &conf_ms, AT(conf_timeouts, first_byte_ms), .def = "60s", .zero = "off",
     .min = 100 * MS, .max = 7 * DAYS, .flags = IN_ROUTE,
     .text = "A backend's first byte, from the end of the request; after that, 504. For "
             "requests whose ABL runs long, set it on their route."},
    {"response_idle", &conf_ms, AT(conf_timeouts, response_idle_ms), .def = "60s",
     .zero = "off", .min = 100 * MS, .max = 7 * DAYS, .flags = IN_ROUTE,
     .text = "A backend that is sending a response: the time between two pieces."},
    {"tunnel", &conf_ms, AT(conf_timeouts, tunnel_ms), .def = "10m", .zero = "off",
     .min = 100 * MS, .max = 7 * DAYS, .flags = IN_ROUTE,
     .text =
         "A WebSocket on which nothing moves in either direction. Once one side has closed "
         "its half, response_idle applies too. As long as it is open, it holds a slot of its "
         "backend: see max_in_flight of pools."},
    {"upstream_idle", &conf_ms, AT(conf_timeouts, upstream_idle_ms), .def = "15s",
     .min = 100 * MS, .max = HOURS,
     .text = "An unused connection to a backend. Tomcat closes its end after 20 seconds, so "
             "this must be shorter."},
    END};
const struct conf_section conf_timeout_section = {
    "timeouts",   "How long each part of an exchange may take.",
    timeout_rows, sizeof(struct conf_timeouts),
    NULL,         NULL,
};
