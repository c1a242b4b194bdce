"""Words of a Postgres that refuses a connection, in the languages of its catalogues (`lc_messages`).

Drivers have no code for these errors, and only a superuser may choose another language.
"""

import re

FULL = re.compile(
    r"too many clients already|connection slots are reserved|too many connections for|no more connections allowed"
    r"|zu viele Verbindungen|verbleibenden Verbindungen sind"
    r"|demasiados clientes|demasiadas conexiones|conexiones restantes están reservadas"
    r"|trop de clients sont|trop de connexions|emplacements de connexions restants"
    r"|troppi client già|troppe connessioni|rimanenti slot di connessione"
    r"|クライアント数が多すぎます|接続が多すぎます|残りの接続スロット"
    r"|최대 동시 접속|최대 접속수|남은 연결 슬롯"
    r"|слишком много клиентов|слишком много подключений|оставшиеся слоты подключений"
    r"|för många klienter|för många uppkopplingar|resterande anslutningsslottar"
    r"|забагато клієнтів|забагато підключень|слоти підключень, які залишились"
    r"|太多的客户|连接太多了|已保留的连接位置"
)
_FATAL = "FATAL|FATALE|FATALT|ВАЖНО|ФАТАЛЬНО|致命错误|치명적오류"
_COMES_OR_GOES = (  # it starts, stops, or ends a session
    "the database system is |terminating connection|das Datenbanksystem |Verbindung wird abgebrochen"
    "|el sistema de base de datos |terminando la conexión|le système de bases? de données |arrêt des connexions"
    "|il database si sta |interruzione della connessione|データベースシステムは|管理者コマンドにより"
    "|데이터베이스 시스템이|관리자 요청에 의해서|система баз данных |закрытие подключения|databassystemet |avslutar anslutning"
    "|система бази даних |завершення підключення|数据库系统|由于管理员命令"
)
REFUSED = re.compile(f"(?:{_FATAL}): (?! *(?:{_COMES_OR_GOES}))")
