/* `smtptap help` and `smtptap version`: all texts for people who look something up. */
#include <ev.h>
#include <json-c/json_c_version.h>
#include <stdio.h>
#include <string.h>

#include "proxy/cli/cli.h"
#include "proxy/cli/usage.h"

static const char DEMO[] = "usage: smtptap demo [--stay]\n"
                           "\n"
                           "Starts a sink (a mail server that throws mail away) and the proxy in front of\n"
                           "it, sends one message with two recipients through both, and shows the log as\n"
                           "`smtptap tail` shows it. Needs no configuration, no rights and no network.\n"
                           "\n"
                           "  --stay   keeps both running until Ctrl-C, to send messages of your own\n";

static const char RUN[] = "usage: smtptap run [-c FILE] [-l ADDR] [-u ADDR]\n"
                          "\n"
                          "Runs the proxy in the foreground. Without a configuration it listens on\n"
                          "127.0.0.1:2525, relays to 127.0.0.1:25 and logs JSON lines on stdout.\n"
                          "\n"
                          "  -c FILE  the configuration; `smtptap check -c FILE` tells its faults\n"
                          "  -l ADDR  listen here: host:port, [v6]:port, unix:/path; port 0: a free one\n"
                          "  -u ADDR  relay to this server\n"
                          "\n"
                          "Signals:\n"
                          "  TERM, INT  end it in order: transactions may finish; twice: at once\n"
                          "  HUP        read configuration and certificates again, open log files again\n"
                          "  USR1       open log files again\n"
                          "  USR2       start the program anew on the same sockets; this one then drains\n"
                          "\n"
                          "  smtptap run -u mail.example.com:25 | smtptap tail\n";

static const char CHECK[] = "usage: smtptap check -c FILE [--print]\n"
                            "\n"
                            "Reads the configuration and everything it names (certificates, keys, files,\n"
                            "sockets), and tells all that is wrong on stderr: the file, the line, the key,\n"
                            "what may stand there. A fault keeps it from being run; a warning says what is\n"
                            "allowed but risky, or of no effect.\n"
                            "\n"
                            "Exit status 0: it can be run; 1: it can't; 2: bad usage.\n"
                            "\n"
                            "  -c FILE  the configuration\n"
                            "  --print  prints what is in force with all defaults, secrets masked\n";

static const char TAIL[] = "usage: smtptap tail [OPTION]... [FILE]\n"
                           "\n"
                           "Follows a log (format native; stdin without FILE) and shows it as a dialogue.\n"
                           "-> <- is between the client and smtptap, => <= between smtptap and the\n"
                           "upstream. Each session has a short id: the end of its cid.\n"
                           "\n"
                           "  -n LINES         begin LINES before the end of FILE: 10, or `all` (without\n"
                           "                   following: all)\n"
                           "  --no-follow      end where FILE ends; else goes on, through rotations too\n"
                           "  --cid ID         one session: its cid, the end of it, or a transaction's id\n"
                           "  --client WHO     sessions of an address, a network (10.0.0.0/8), a domain\n"
                           "  --status STATUS  outcomes that are accepted, deferred, rejected,\n"
                           "                   indeterminate, aborted or reset (several: with commas)\n"
                           "  --domain DOMAIN  outcomes with a sender or recipient in it\n"
                           "  --level LEVEL    error, info (no dialogue) or debug (all)\n"
                           "  --color WHEN     auto (a terminal without NO_COLOR), always, never\n";

static const char VERIFY[] = "usage: smtptap verify -c FILE | --key-file FILE [--no-head] LOG...\n"
                             "\n"
                             "Checks the hash chain of a log that was written with log.integrity, and tells\n"
                             "with file and line which records were edited, inserted, are missing, or cut\n"
                             "off at the end. Exit status 0: nobody has changed anything.\n"
                             "\n"
                             "  -c FILE          the configuration, which names the key\n"
                             "  --key-file FILE  the key itself\n"
                             "  --no-head        LOG.head is not at hand; what was cut off is then not seen\n"
                             "\n"
                             "One LOG is read with what it was rotated to (LOG.2, LOG.1, LOG); several are\n"
                             "read as one log in the order given, the oldest first.\n";

static const char SINK[] = "usage: smtptap sink [-l ADDR] [--lmtp] [--store DIR] [--reply RULE]...\n"
                           "\n"
                           "A mail server for tests: takes any mail and throws it away. One line a\n"
                           "message on stdout, a summary at the end (Ctrl-C).\n"
                           "\n"
                           "  -l ADDR      listen here (127.0.0.1:2526; port 0: a free one)\n"
                           "  --lmtp       speak LMTP: one reply a recipient at the end\n"
                           "  --store DIR  keep each message as DIR/ID.eml, its envelope as DIR/ID.json\n"
                           "  --quiet      no line a message\n"
                           "  --reply RULE STAGE[%SHARE]=ACTION, to rehearse failures\n"
                           "       STAGE   greeting, helo, mail, rcpt, data, body, end\n"
                           "       SHARE   percent of what the rules before it let pass, evenly spread\n"
                           "       ACTION  a reply (450 4.2.1 busy), delay:2s, drop, hang. A reply at\n"
                           "               body leaves before the end of data, and closes\n"
                           "\n"
                           "  smtptap sink --reply 'rcpt%25=450 4.2.1 busy' --reply end=delay:2s\n";

static const char HELP[] = "usage: smtptap help [COMMAND]\n"
                           "\n"
                           "Lists the commands, or explains one of them.\n";

static const char VERSION[] = "usage: smtptap version\n"
                              "\n"
                              "Prints the version of the program and of its libraries.\n";

const struct usage_command usage_commands[] = {
    { "demo", "shows in a second what it does: a message through proxy and sink", DEMO },
    { "run", "runs the proxy: listens on 127.0.0.1:2525, relays to 127.0.0.1:25", RUN },
    { "check", "reads a configuration and tells every fault in it", CHECK },
    { "tail", "follows a log and shows it as a dialogue, in colour", TAIL },
    { "verify", "checks the hash chain of a log: what was changed, what is gone", VERIFY },
    { "sink", "a mail server for tests: takes any mail and throws it away", SINK },
    { "help", "this, or `smtptap help COMMAND`", HELP },
    { "version", "the version of the program", VERSION },
    { NULL, NULL, NULL },
};

static void print_overview(void)
{
    printf("smtptap relays mail to your server and logs every word of both sides as JSON.\n\n"
           "usage: smtptap COMMAND [OPTION]...\n\n");
    for (const struct usage_command *c = usage_commands; c->name != NULL; c++)
        printf("  %-8s %s\n", c->name, c->brief);
    printf("\n`smtptap help COMMAND` explains one. To begin with:\n\n"
           "  smtptap demo\n"
           "  smtptap run -u mail.example.com:25 | smtptap tail\n\n"
           "Exit status: 0 done, 1 a fault in what was asked, 2 bad usage.\n");
}

/* Of commands without options: `smtptap help --help`. */
static bool asks_for_help(int argc, char **argv)
{
    return argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
}

int cli_help(int argc, char **argv)
{
    if (asks_for_help(argc, argv))
        return usage_print("help");
    if (argc == 2 && argv[1][0] == '-')
        return usage_error("help", "there is no option %.40s", argv[1]);
    if (argc > 2)
        return usage_error("help", "one COMMAND at a time");
    if (argc == 2 && usage_find(argv[1]) == NULL)
        return usage_unknown_command(argv[1]);
    if (argc == 2)
        return usage_print(argv[1]);
    print_overview();
    return fflush(stdout) == 0 ? 0 : 1;
}

int cli_version(int argc, char **argv)
{
    if (asks_for_help(argc, argv))
        return usage_print("version");
    if (argc > 1)
        return usage_error("version", "it takes no argument");
    printf("smtptap %s\n", SMTPTAP_VERSION);
    printf("libev %d.%d, json-c %s\n", ev_version_major(), ev_version_minor(), json_c_version());
    return fflush(stdout) == 0 ? 0 : 1;
}
