/* What a record costs: `bench_log FILE [THREADS [RECORDS [RECORDS_A_SECOND]]]` writes RECORDS command and send records
 * a thread into FILE and prints CPU time of the threads that make them and of the whole process, with the wake-ups of
 * its writer. At a rate of 0 they are made as fast as can be. */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "proxy/log/clock.h"
#include "proxy/log/log.h"

struct maker {
    pthread_t thread;
    struct logger *logger;
    long records, rate;
    usec_t cpu;
};

static void make_record(struct record *r, long n)
{
    static const struct span COMMAND[] = { SPAN_LIT("C: "), SPAN_LIT("RCPT TO:<somebody@example.net>") };
    static const struct span SEND[] = { SPAN_LIT("S: "), SPAN_LIT("250 2.1.5 Ok") };
    static const struct span LINE = SPAN_LIT("2.1.5 Ok");
    bool command = n % 2 == 0;
    record_begin(r, command ? TNX_COMMAND : TNX_SEND, clock_real());
    record_str(r, KEY_CID, SPAN_LIT("0b1k2f9s8d7a6c5e"));
    record_str(r, KEY_TID, SPAN_LIT("0b1k2f9s8d7a6c5e.1"));
    record_side(r, SIDE_CLIENT);
    record_str(r, KEY_HOST, SPAN_LIT("203.0.113.45"));
    if (command) {
        record_str(r, KEY_COMMAND, SPAN_LIT("RCPT"));
        record_str(r, KEY_LINE, COMMAND[1]);
    } else {
        record_int(r, KEY_CODE, 250);
        record_str(r, KEY_ENHANCED, SPAN_LIT("2.1.5"));
        record_strs(r, KEY_LINES, &LINE, 1);
        record_ms(r, KEY_MS, 1234);
    }
    record_cat(r, KEY_MSG, command ? COMMAND : SEND, 2);
}

static void *maker_main(void *arg)
{
    struct maker *m = arg;
    struct record r;
    usec_t start = clock_mono();
    for (long n = 0; n < m->records; n++) {
        while (m->rate > 0 && n % 20 == 0 && (clock_mono() - start) * m->rate < n * USEC_PER_SEC)
            nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
        while (n % 20 == 0 && logger_state(m->logger) != LOG_OPEN)
            nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
        make_record(&r, n);
        logger_write(m->logger, &r);
    }
    m->cpu = clock_usec(CLOCK_THREAD_CPUTIME_ID);
    return NULL;
}

static void print_fault(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "%s\n", text);
}

/* How often the log's own threads have slept, so far. */
static long log_sleeps(void)
{
    char path[300], line[256];
    long sum = 0;
    DIR *dir = opendir("/proc/self/task");
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        bool ours = false;
        long n;
        snprintf(path, sizeof(path), "/proc/self/task/%s/status", e->d_name);
        FILE *f = fopen(path, "re");
        while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
            ours |= strncmp(line, "Name:\tlog-", 10) == 0;
            if (ours && sscanf(line, "voluntary_ctxt_switches: %ld", &n) == 1)
                sum += n;
        }
        if (f != NULL)
            fclose(f);
    }
    if (dir != NULL)
        closedir(dir);
    return sum;
}

/* After a moment in which the threads have come to rest. */
static void print_idle(void)
{
    nanosleep(&(struct timespec){ .tv_nsec = 300000000 }, NULL);
    long before = log_sleeps();
    nanosleep(&(struct timespec){ .tv_sec = 3 }, NULL);
    printf("idle: the log's threads woke up %ld times in 3 s\n", log_sleeps() - before);
}

static double seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

static double run(struct maker *m, long threads)
{
    usec_t cpu = 0;
    for (long i = 0; i < threads; i++) {
        if (pthread_create(&m[i].thread, NULL, maker_main, &m[i]) != 0)
            abort();
    }
    for (long i = 0; i < threads; i++) {
        pthread_join(m[i].thread, NULL);
        cpu += m[i].cpu;
    }
    return (double)cpu / 1e6;
}

int main(int argc, char **argv)
{
    long threads = argc > 2 ? atol(argv[2]) : 2, records = argc > 3 ? atol(argv[3]) : 1000000;
    struct output_settings output = { .type = OUTPUT_FILE,
                                      .path = argv[1],
                                      .mode = 0600,
                                      .level = LEVEL_DEBUG,
                                      .overflow = OVERFLOW_BLOCK,
                                      .queue_size = 16 << 20 };
    struct log_settings set = { .component = (char *)(uintptr_t) "smtptap",
                                .output = &output,
                                .outputs = 1,
                                .block_timeout = 30 * USEC_PER_SEC,
                                .max_record = 8000 };
    struct maker *m = calloc((size_t)threads, sizeof(*m));
    struct log *log = argc > 1 && m != NULL ? log_start(&set, (unsigned)threads, print_fault, NULL) : NULL;
    struct rusage use;
    if (log == NULL)
        return 1;
    for (long i = 0; i < threads; i++)
        m[i] = (struct maker){ .logger = log_logger(log, (unsigned)i, NULL, NULL),
                               .records = records,
                               .rate = argc > 4 ? atol(argv[4]) : 0 };
    print_idle();
    usec_t start = clock_mono();
    long sleeps = log_sleeps();
    double making = run(m, threads);
    sleeps = log_sleeps() - sleeps;
    uint64_t unwritten = log_stop(&log, 60 * USEC_PER_SEC);
    double took = (double)(clock_mono() - start) / 1e6, all = (double)(threads * records);
    getrusage(RUSAGE_SELF, &use);
    printf("%.0f records in %.2f s: %.0f a second, %.0f ns CPU each to make, %.0f ns to write, %.0f wake-ups a second, "
           "%llu "
           "unwritten\n",
           all, took, all / took, making / all * 1e9,
           (seconds(use.ru_utime) + seconds(use.ru_stime) - making) / all * 1e9, (double)sleeps / took,
           (unsigned long long)unwritten);
    free(m);
    return unwritten != 0;
}
