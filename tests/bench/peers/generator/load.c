/* A SIP load generator for one core: REGISTER cycles, or calls with caller and callee, over UDP.
 *
 *   load register|call -t HOST:PORT -n COUNT [-w WINDOW] [-r RATE] [-l PORT] [-a PORT] [-T SECONDS]
 *
 * -t  the server, on loopback.
 * -n  how many operations.
 * -w  how many are under way at most (50).
 * -r  how many begin in a second; 0: as many as the window lets (closed loop).
 * -l  the own port (5080).
 * -a  the port on which calls are answered (5070).
 * -T  seconds after which it gives up (60); what is not over then has failed.
 *
 * A REGISTER cycle is REGISTER, 401, REGISTER with digest, 200; users take turns. A call is INVITE,
 * 180, 200, ACK, BYE, 200. What is not answered within half a second is sent again, four times with
 * doubled patience. The callee keeps no state. Prints one line of JSON; latencies in milliseconds.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "sip.h"
#include "wire.h"

#define DOMAIN "bench.test"
#define PASSWORD "secret"
#define CALLEE "1000"

enum { USERS = 10000, MAX_RESENT = 4, STATUS_AT = 8, QUIET_MS = 200 };
static const double PATIENCE_S = 0.5, TIMERS_EVERY_S = 0.005, LINGER_S = 5;

enum state { IDLE, UNCHALLENGED, CHALLENGED, INVITED, HANGING_UP };

struct operation {
    enum state state;
    unsigned turn; /* counts the operations of this place */
    int index, resent;
    double began, sent;
    char to_tag[160], target[256], routes[1024], last[MESSAGE_MAX];
    int last_length;
};

struct settings {
    int is_call, window, port, callee_port;
    long count;
    double rate, limit_s;
    const char *target;
};

static struct settings settings = {.window = 50, .port = 5080, .callee_port = 5070, .limit_s = 60};
static struct sockaddr_in server;
static int own, callee = -1;
static unsigned run; /* tells the Call-IDs of this run from those of another */
static struct operation *operations;
static int *idle, idle_count;
static long begun, good, failed, resent, setups;
static double *op_times, *setup_times;
static char first_failure[64];

/* ---- operations ---------------------------------------------------------------------------- */

static void transmit(struct operation *op) {
    op->sent = wire_now();
    wire_put(own, op->last, op->last_length, &server);
}

static struct text fresh(struct operation *op) { return (struct text){op->last, 0}; }

static void finish(struct operation *op, double at) {
    op_times[good++] = at - op->began;
    op->state = IDLE;
    idle[idle_count++] = op->index;
}

static void fail(struct operation *op, const char *why) {
    if (!failed++) snprintf(first_failure, sizeof first_failure, "%.*s", (int)strcspn(why, "\r\""), why);
    op->state = IDLE;
    idle[idle_count++] = op->index;
}

static void add_start(struct text *text, struct operation *op, const char *method, const char *uri,
                      const char *branch) {
    sip_add(text, "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bK%x.%x.%x.%s;rport\r\n", method,
            uri, settings.port, run, op->index, op->turn, branch);
}

static void add_call_id(struct text *text, struct operation *op) {
    sip_add(text, "Call-ID: %d-%u-%x\r\n", op->index, op->turn, run);
}

static void send_register(struct operation *op, const char *challenge) {
    struct text text = fresh(op);
    char user[16];
    int cseq = challenge ? 2 : 1;
    snprintf(user, sizeof user, "u%06u", (op->turn * (unsigned)settings.window + (unsigned)op->index) % USERS);
    add_start(&text, op, "REGISTER", "sip:" DOMAIN, challenge ? "2" : "1");
    add_call_id(&text, op);
    sip_add(&text,
            "From: <sip:%s@" DOMAIN ">;tag=%x\r\nTo: <sip:%s@" DOMAIN ">\r\nCSeq: %d REGISTER\r\n"
            "Contact: <sip:%s@127.0.0.1:%d>\r\nMax-Forwards: 70\r\nExpires: 600\r\nUser-Agent: bench\r\n",
            user, op->turn, user, cseq, user, settings.port);
    if (challenge && !sip_add_authorization(&text, challenge, user, PASSWORD, "sip:" DOMAIN)) {
        fail(op, "a 401 without a challenge");
        return;
    }
    sip_add_no_body(&text);
    op->last_length = text.length;
    op->resent = 0;
    op->state = challenge ? CHALLENGED : UNCHALLENGED;
    transmit(op);
}

static void add_dialog(struct text *text, struct operation *op, int cseq, const char *method) {
    add_call_id(text, op);
    sip_add(text,
            "From: <sip:caller@127.0.0.1:%d>;tag=%x.%x\r\nTo: <sip:" CALLEE "@%s>%s\r\nCSeq: %d %s\r\n"
            "Contact: <sip:caller@127.0.0.1:%d>\r\nMax-Forwards: 70\r\nUser-Agent: bench\r\n",
            settings.port, op->turn, op->index, settings.target, op->to_tag, cseq, method, settings.port);
}

static void send_invite(struct operation *op) {
    struct text text = fresh(op);
    char uri[96];
    op->to_tag[0] = 0;
    snprintf(uri, sizeof uri, "sip:" CALLEE "@%s", settings.target);
    add_start(&text, op, "INVITE", uri, "invite");
    add_dialog(&text, op, 1, "INVITE");
    sip_add(&text, "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS\r\n");
    sip_add_sdp(&text);
    op->last_length = text.length;
    op->state = INVITED;
    transmit(op);
}

static void send_in_dialog(struct operation *op, const char *method, int cseq) {
    struct text text = fresh(op);
    add_start(&text, op, method, op->target, method);
    sip_add(&text, "%s", op->routes);
    add_dialog(&text, op, cseq, method);
    sip_add_no_body(&text);
    op->last_length = text.length;
    op->resent = 0;
    transmit(op);
}

static void begin(double at) {
    struct operation *op = &operations[idle[--idle_count]];
    begun++;
    op->turn++;
    op->resent = 0;
    op->began = at;
    if (settings.is_call) send_invite(op);
    else send_register(op, NULL);
}

/* ---- what comes in -------------------------------------------------------------------------- */

/* Takes tag, target and route set from the 200 of an INVITE; returns 0 where they are not there. */
static int learn_dialog(struct operation *op, const char *message) {
    char routes[MESSAGE_MAX];
    struct text text = {routes, 0};
    int length;
    const char *to = sip_header(message, "To", &length);
    const char *tag = to ? memmem(to, (size_t)length, ";tag=", 5) : NULL;
    if (!tag) return 0;
    snprintf(op->to_tag, sizeof op->to_tag, "%.*s", (int)(to + length - tag), tag);
    const char *contact = sip_header(message, "Contact", &length);
    const char *start = contact ? memchr(contact, '<', (size_t)length) : NULL;
    if (!start) return 0;
    snprintf(op->target, sizeof op->target, "%.*s", (int)strcspn(start + 1, ">\r"), start + 1);
    routes[0] = 0;
    sip_add_routes(&text, message);
    if (text.length >= (int)sizeof op->routes) return 0;
    memcpy(op->routes, routes, (size_t)text.length + 1);
    return 1;
}

static void take_answer(struct operation *op, const char *message, double at) {
    if (!learn_dialog(op, message)) {
        fail(op, "a 200 without a dialog");
        return;
    }
    setup_times[setups++] = at - op->began;
    send_in_dialog(op, "ACK", 1);
    op->state = HANGING_UP;
    send_in_dialog(op, "BYE", 2);
}

static struct operation *find(const char *message) {
    int length, index;
    unsigned turn, of_run;
    const char *call_id = sip_header(message, "Call-ID", &length);
    if (!call_id || sscanf(call_id, "%d-%u-%x", &index, &turn, &of_run) != 3) return NULL;
    if (of_run != run || index < 0 || index >= settings.window) return NULL;
    return operations[index].turn == turn ? &operations[index] : NULL;
}

static void take_response(char *message, double at) {
    struct operation *op = find(message);
    int status = atoi(message + STATUS_AT), length;
    const char *cseq_value = sip_header(message, "CSeq", &length);
    if (!op || !cseq_value || op->state == IDLE || status < 200) return;
    int is_second = op->state == CHALLENGED || op->state == HANGING_UP;
    if (atoi(cseq_value) != 1 + is_second) return; /* repeated: its answer is on the way */
    if (op->state == UNCHALLENGED && status == 401) send_register(op, message);
    else if (status != 200 || op->state == UNCHALLENGED) fail(op, message + STATUS_AT);
    else if (op->state == INVITED) take_answer(op, message, at);
    else finish(op, at);
}

static void answer(int socket, const char *message, const struct sockaddr_in *from) {
    char buffer[MESSAGE_MAX], contact[64];
    int is_invite = !strncmp(message, "INVITE ", 7);
    if (!strncmp(message, "ACK ", 4)) return;
    snprintf(contact, sizeof contact, "Contact: <sip:" CALLEE "@127.0.0.1:%d>\r\n", settings.callee_port);
    if (is_invite) {
        struct text ringing = {buffer, 0};
        sip_add_response(&ringing, "180 Ringing", message);
        sip_add(&ringing, "%s", contact);
        sip_add_no_body(&ringing);
        wire_put(socket, buffer, ringing.length, from);
    }
    struct text ok = {buffer, 0};
    sip_add_response(&ok, "200 OK", message);
    if (is_invite) {
        sip_add(&ok, "%s", contact);
        sip_add_sdp(&ok);
    } else sip_add_no_body(&ok);
    wire_put(socket, buffer, ok.length, from);
}

static void take(int socket, char *message, const struct sockaddr_in *from, double at) {
    if (!strncmp(message, "SIP/2.0 ", STATUS_AT)) take_response(message, at);
    else answer(socket, message, from);
}

/* ---- the run -------------------------------------------------------------------------------- */

static void resend_due(double at) {
    for (int i = 0; i < settings.window; i++) {
        struct operation *op = &operations[i];
        if (op->state == IDLE || at - op->sent < PATIENCE_S * (1 << op->resent)) continue;
        if (op->resent == MAX_RESENT) {
            fail(op, "no answer");
            continue;
        }
        op->resent++;
        resent++;
        transmit(op);
    }
}

static double drive(void) {
    double start = wire_now(), timers_at = start, at = start;
    struct pollfd polled[] = {{own, POLLIN, 0}, {callee, POLLIN, 0}};
    while (good + failed < settings.count && at - start < settings.limit_s) {
        at = wire_now();
        while (idle_count && begun < settings.count &&
               (settings.rate == 0 || (double)begun < (at - start) * settings.rate))
            begin(at);
        wire_flush();
        int count = wire_drain(own, take);
        if (callee >= 0) count += wire_drain(callee, take);
        wire_flush();
        if (at - timers_at > TIMERS_EVERY_S) {
            timers_at = at;
            resend_due(at);
        }
        if (!count) poll(polled, callee >= 0 ? 2 : 1, settings.rate > 0 ? 1 : 5);
    }
    return wire_now() - start;
}

/* Goes on answering until nothing comes any more: a server may hang up on the callee a little later. */
static void linger(void) {
    struct pollfd polled = {callee, POLLIN, 0};
    double until = wire_now() + LINGER_S;
    while (callee >= 0 && wire_now() < until && poll(&polled, 1, QUIET_MS) > 0) {
        wire_drain(callee, take);
        wire_flush();
    }
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile_ms(double *times, long count, double share) {
    if (!count) return 0;
    qsort(times, (size_t)count, sizeof *times, ascending);
    return times[(long)((double)(count - 1) * share)] * 1e3;
}

static void report(double wall_s) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
    printf("{\"ok\": %ld, \"failed\": %ld, \"resent\": %ld, \"wall_s\": %.4f, \"load_cpu_s\": %.4f, ", good,
           settings.count - good, resent, wall_s, cpu_s);
    printf("\"op_ms_p50\": %.3f, \"op_ms_p99\": %.3f, ", percentile_ms(op_times, good, 0.5),
           percentile_ms(op_times, good, 0.99));
    printf("\"setup_ms_p50\": %.3f, \"setup_ms_p99\": %.3f, ", percentile_ms(setup_times, setups, 0.5),
           percentile_ms(setup_times, setups, 0.99));
    if (good < settings.count && !failed) snprintf(first_failure, sizeof first_failure, "not over in time");
    printf("\"first_failure\": \"%s\"}\n", first_failure);
}

static void *allocate(long count, size_t size) {
    void *memory = count > 0 ? calloc((size_t)count, size) : NULL;
    if (!memory) {
        fprintf(stderr, "nothing to do, or no memory for it\n");
        exit(2);
    }
    return memory;
}

static void read_settings(int argc, char **argv) {
    int option;
    if (argc < 2) exit(2);
    settings.is_call = !strcmp(argv[1], "call");
    optind = 2;
    while ((option = getopt(argc, argv, "t:n:w:r:l:a:T:")) != -1) switch (option) {
        case 't': settings.target = optarg; break;
        case 'n': settings.count = atol(optarg); break;
        case 'w': settings.window = atoi(optarg); break;
        case 'r': settings.rate = atof(optarg); break;
        case 'l': settings.port = atoi(optarg); break;
        case 'a': settings.callee_port = atoi(optarg); break;
        case 'T': settings.limit_s = atof(optarg); break;
        default: exit(2);
    }
    if (!settings.target) exit(2);
    server = wire_address(settings.target);
}

int main(int argc, char **argv) {
    struct timespec time;
    read_settings(argc, argv);
    clock_gettime(CLOCK_REALTIME, &time);
    run = (unsigned)time.tv_sec * 1000003u ^ (unsigned)time.tv_nsec;
    own = wire_open(settings.port);
    if (settings.is_call) callee = wire_open(settings.callee_port);
    operations = allocate(settings.window, sizeof *operations);
    idle = allocate(settings.window, sizeof *idle);
    op_times = allocate(settings.count, sizeof *op_times);
    setup_times = allocate(settings.count, sizeof *setup_times);
    for (int i = 0; i < settings.window; i++) operations[i].index = idle[idle_count++] = i;
    double wall_s = drive();
    linger();
    report(wall_s);
    return good == settings.count ? 0 : 1;
}
