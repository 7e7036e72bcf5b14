/* The subcommands, a file each. argv[0] is the command's own name; what is returned is the exit status: 0 done, 1 a
 * fault in what was asked, 2 bad usage. */
#ifndef PROXY_CLI_CLI_H
#define PROXY_CLI_CLI_H

int cli_run(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_sink(int argc, char **argv);
int cli_demo(int argc, char **argv);
int cli_tail(int argc, char **argv);
int cli_verify(int argc, char **argv);
int cli_help(int argc, char **argv);
int cli_version(int argc, char **argv);

#endif
