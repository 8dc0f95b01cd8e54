/* The network helper: one process per conversation with a CA (RFC 8555, 9773).
 *
 * It holds no key and opens no file except the CA's roots. It asks acmed for everything that
 * needs a key or a file (net/ipc.h) and parses untrusted data (net/transport.h,
 * net/acme_json.h). It is sequential code: the order of statements is the order of requests. */
#ifndef ACMED_NET_NET_H
#define ACMED_NET_NET_H

/* The main function of the process: receives IPC_BEGIN, runs the job, sends IPC_DONE or
 * IPC_FAILED, exits. Exits at once when the other end is closed. */
_Noreturn void net_main(int fd);

#endif
