/* An independent Modbus TCP server for tests, on libmodbus: tables as they are in C.
 *
 * modbus_server OWNER [REGISTERS_MAX]: listens on a free port of 127.0.0.1, prints it.
 * Holding registers 9000 and 9001 hold OWNER, so that a test knows whose server it writes to.
 * Reads of more than REGISTERS_MAX registers are answered with exception 2. Ends with stdin.
 */
#include <arpa/inet.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/select.h>
#include <unistd.h>

int main(int argc, char **argv) {
    unsigned long owner = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    int registers_max = argc > 2 ? atoi(argv[2]) : 125;
    modbus_t *ctx = modbus_new_tcp("127.0.0.1", 0);
    modbus_mapping_t *map = modbus_mapping_new(10000, 10000, 10000, 10000);
    int server = modbus_tcp_listen(ctx, 8), top = server;
    struct sockaddr_in at;
    socklen_t size = sizeof at;
    if (!map || server < 0 || getsockname(server, (struct sockaddr *)&at, &size)) return 1;
    map->tab_registers[9000] = owner >> 16;
    map->tab_registers[9001] = owner & 0xFFFF;
    for (int i = 0; i < 10000; i++) map->tab_input_registers[i] = i, map->tab_input_bits[i] = i % 3 == 0;
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    fd_set all, ready;
    FD_ZERO(&all);
    FD_SET(server, &all);
    FD_SET(0, &all);
    for (;;) {
        ready = all;
        if (select(top + 1, &ready, NULL, NULL, NULL) < 0 || FD_ISSET(0, &ready)) return 0;
        for (int fd = 1; fd <= top; fd++) {
            uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
            if (!FD_ISSET(fd, &ready)) continue;
            if (fd == server) {
                int client = accept(server, NULL, NULL);
                if (client > top) top = client;
                if (client >= 0) FD_SET(client, &all);
                continue;
            }
            modbus_set_socket(ctx, fd);
            int length = modbus_receive(ctx, query);
            int count = query[10] << 8 | query[11];
            if (length < 0) {
                close(fd);
                FD_CLR(fd, &all);
            } else if ((query[7] == 3 || query[7] == 4) && count > registers_max)
                modbus_reply_exception(ctx, query, MODBUS_EXCEPTION_ILLEGAL_DATA_ADDRESS);
            else modbus_reply(ctx, query, length, map);
        }
    }
}
