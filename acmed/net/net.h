/* The network half: one process for one conversation with a CA (RFC 8555, 9773).
 *
 * Holds no key and opens no file but the CA's roots. It asks acmed for whatever needs one
 * (net/ipc.h), reads what strangers send (net/transport.h, net/acme_json.h), and is plain
 * sequential code: what is next in a function is next on the wire. */
#ifndef ACMED_NET_NET_H
#define ACMED_NET_NET_H

/* The whole life of the process: takes IPC_BEGIN from the socket, runs the job, says IPC_DONE
 * or IPC_FAILED, exits. Ends at once when the other end is closed. */
_Noreturn void net_main(int fd);

#endif
