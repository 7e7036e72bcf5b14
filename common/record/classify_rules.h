/* What refusals say, class by class. Lower case, no accents, umlauts as two letters; words in any order of language.
 *
 *   word~   a word that begins so (four octets or more)      *     up to five words in between
 *   WHO     a word of that set, ADDR an address, IP an IP    4: 501:  only in a reply of that kind, that code
 *   /word   also in a URL or a host's name                   //word  only there
 *   .7.1    an enhanced code's last two parts
 *
 * Ranks: 9 leaves no doubt, whatever else is said, and more overrules another's 9; 8 and 7 name the reason; 6 and 5
 * name it, but also come along with better words; 4 and less are hints. The table of enhanced codes in classify.c has
 * the same scale. */
#ifndef COMMON_RECORD_CLASSIFY_RULES_H
#define COMMON_RECORD_CLASSIFY_RULES_H

/* SET(id, "words that may stand for each other") */
#define CLASSIFY_SETS(SET)                                                                                                  \
    SET(WHO, "user users userid username recipient recipients rcpt addressee mailbox mailboxes mailaddress address "        \
             "addresses account accounts inbox person alias customer subscriber maildrop emailaddress "                     \
             "empfaenger~ postfach benutzer~ nutzer~ adressat~ adresse adressen konto mailadresse emailadresse "            \
             "destinataire~ utilisateur~ boite compte destinatari~ usuari~ buzon casilla cuenta direccion utente "          \
             "indirizzo casella conta endereco gebruiker~ ontvanger~ postbus postvak uzytkowni~ adresat~ skrzynk~ "         \
             "odbiorc~ adres prijemce~ schrank~ uzivatel~ mottagar~ modtager~ mottaker~ vastaanottaja~ alici "              \
             "получател~ пользовател~ ящик~ адрес~ адресат~ абонент~ учетн~ címzett~")                                      \
    SET(SENDER, "sender senders mailfrom originator absender~ expediteur~ emetteur~ remitente~ mittente "                   \
                "remetente afzender~ nadawc~ отправител~ odesilatel~ avsändar~ afsender~")                                  \
    SET(MAIL, "mail mails email emails message messages msg nachricht~ courriel~ correo~ mensaje~ messaggi~ "               \
              "mensage~ bericht~ wiadomos~ сообщени~ письм~ zprav~ post eml")                                               \
    SET(REFUSED, "blocked rejected refused denied banned blacklisted blocklisted listed prohibited forbidden barred "       \
                 "gesperrt blockiert abgelehnt abgewiesen refuse bloque bloquee rejete rechazad~ bloquead~ "                \
                 "rifiutat~ bloccat~ rejeitad~ recusad~ geweigerd geblokkeerd odrzucon~ zablokowan~ odmitnut~ "             \
                 "blockerad~ blokeret blokkert avvisad~ afvist nekad~ "                                                     \
                 "заблокирован~ отклонен~ отказан~")                                                                        \
    SET(HOST, "ip host hosts server servers client hostname mta system network connection connections adresse ips")         \
    SET(UNKNOWN, "unknown invalid nonexistent nonexisting unbekannt~ ungueltig~ inconnu~ invalide inexistant~ "             \
                 "desconocid~ invalid~ inexistente~ sconosciut~ desconhecid~ onbekend~ ongeldig~ nieznan~ "                 \
                 "nieprawidlow~ neznam~ neplatn~ неизвестн~ okänd ukendt ukjent tuntematon ismeretlen "           \
                 "unrecognized unrecognised undeliverable unroutable unrouteable nonlocal")                                 \
    SET(GONE, "disabled inactive inactivated suspended deactivated closed expired discontinued locked terminated "          \
              "deleted removed moved retired dormant abandoned cancelled canceled frozen obsolete "                         \
              "deaktiviert gesperrt geloescht stillgelegt desactive desactivee supprime ferme suspendu bloque "             \
              "desactivad~ suspendid~ cancelad~ eliminad~ disattivat~ disabilitat~ sospes~ chius~ desativad~ "              \
              "suspens~ encerrad~ opgeheven uitgeschakeld nieaktywn~ zablokowan~ usuniet~ отключен~ удален~ " \
              "заблокирован~ неактив~ zrusen~ neaktivn~ deactive")                                                          \
    SET(MUCH, "limit limits limited quota rate count number volume maximum max limite limiet лимит~")                       \
    SET(SPAN, "hour hours hourly day daily minute minutes second seconds month weekly monthly stunde tag heure jour "       \
              "hora dia ora giorno uur час день сутки")                                                                     \
    SET(ORANGE, "ofr lpn ouk ofr0~ ofr1~ lpn0~ lpn1~ ouk0~")                                                                \
    SET(EXCEED, "exceed exceeds exceeded exceeding exceeded reached over surpassed ueberschritten erreicht depasse "        \
                "depassee depassees atteint "                                                                               \
                "atteinte superad~ alcanzad~ excedid~ superat~ raggiunt~ atingid~ overschreden bereikt przekroczon~ "       \
                "превышен~ достигнут~ prekrocen~ overskredet overskriden ylitetty")                                         \
    SET(MALICE, "virus viruses malware infected trojan worm ransomware spyware")

static const struct rules classify_rules[] = {
    /* come back later, nothing is wrong */
    { CLASS_GREYLISTED, 10,
      "greylist~|graylist~|grey list~|gray list~|greylst|postgrey|/greylist~|grauliste|auf graue liste|liste grise|"
      "listes grises|lista gris|listas grises|lista grigia|lista cinza|lista cinzenta|szara lista|szarej liscie|"
      "серый список|серые списки|серого списка|серых спис~|серых листов|грейлист~|sedy list|sedem listu|grijze lijst|"
      "灰名单|灰色名单|灰名單|灰色列表|グレイリスト|グレーリスト|그레이리스트" },
    { CLASS_GREYLISTED, 9, "verification in progress" },
    { CLASS_GREYLISTED, 9, "triplet|policy delay" },
    { CLASS_GREYLISTED, 8, "gl01|first contact|never seen before|not seen before" },
    { CLASS_GREYLISTED, 7,
      "first time sender|not yet passed|delayed * anti spam|early retry|retry too early|retrying too soon|"
      "you retried too|temporarily delayed|delayed for * seconds|initial contact" },
    { CLASS_GREYLISTED, 4,
      "4:come back later|4:come back in|4:please come back|4:unknown sender * try|4:try again in|4:retry in" },
    { CLASS_GREYLISTED, 3, "4:retry later|4:temporarily deferred|4:deferred" },

    /* too much from you now */
    { CLASS_RATE_LIMIT, 11, "unusual rate|unusual amount|unusual number|message rate|mail rate|receive rate" },
    { CLASS_RATE_LIMIT, 9,
      "too many * sessions|too many * connections|too many * messages|too many * recipients|rate "
      "limit~|ratelimit~|rate limited|throttl~|too many recipients|too many rcpt~|too many messages|too many "
      "mails|"
      "too many emails|too many connection~|too many concurrent|too many simultaneous|too many open|too many parallel|"
      "too many sessions|submission rate|rp 001|rp 002|rp 003|too many smtp|too many recent|too many envelopes|too "
      "many deliveries|unusual rate|"
      "receiving mail * rate|receiving mail too|too quickly|submissionquota~|/submissionquota~|submission quota|"
      "message quota|sending quota|daily quota|hourly quota|sending rate|send rate|max emails|maximum emails|"
      "maximum number of recipients|maximum number of messages|maximum number of connections|frequency limited|"
      "mail flood|//unsolicitedratelimit~|//ratelimit~|//toomanyrecipients~|zu viele verbindungen|zu viele empfaenger|"
      "zu viele nachrichten|zu viele mails|zu viele e-mails|trop de connexion~|trop de destinataires|trop de messages|"
      "demasiad~ conexiones|demasiad~ destinatari~|demasiad~ mensajes|demasiad~ correos|troppe connessioni|"
      "troppi destinatari|troppi messaggi|muitas conexoes|muitos destinatarios|muitas mensagens|te veel verbindingen|"
      "te veel ontvangers|te veel berichten|zbyt wiele polaczen|za duzo polaczen|zbyt wiele wiadomosci|"
      "zbyt wielu odbiorcow|слишком много соедин~|слишком много писем|слишком много получателей|слишком много сообщ~|"
      "prilis mnoho|同時接続|過于頻繁|过于频繁|频率|頻度|送信数|流量制限|rcptcountexceed~" },
    { CLASS_RATE_LIMIT, 8,
      "session limit|sessions limit|SPAN quota|SPAN * quota|exceed~ * rate|rate exceed~|rate * exceed~|langsamer|plus "
      "lentement|mas despacio|number of sessions|maximum * sessions|sessions for|SPAN * limit reached|limit * SPAN "
      "reached|limit * SPAN * reached|ORANGE 104|ib007|ib504|ib510|ib605|ib607|cxcnct|cxmxrt|hl icc|hl ifc|mi dmc|rp "
      "drc|rp trc|rp ccl|mi stc|con b1|frequency|短時間|短时间|大量のメール|MUCH * per SPAN|exceed~ * per SPAN|SPAN * "
      "MUCH * exceed~|SPAN * limit~ exceed~|exceed~ * SPAN MUCH|SPAN "
      "limit|rate of * exceed~|SPAN exceeded|recipients allowed|recipients per message|allowed recipients|threshold "
      "exceeded|thread limit|per connection|too many invalid|too many bad|too many unknown|"
      "SPAN sending limit|this hour|connection rate|connection limit|connections limit|connection count|"
      "number of connections|max connections|maximum connections|connections exceeded|recipient limit|recipients limit|"
      "recipients limit exceeded|limit of recipients|limit * recipients|message limit|messages limit|message rate|"
      "relay limit|smtp limit|sending limit~|send limit~|slow down|too fast|exceed~ * sending|sent too many|"
      "limit for the number|limit on the number|limit * number of|tenant * exceed~ threshold|exceed~ * threshold|"
      "frequency * exceed~|frequenz~|concurrent * exceed~|concurrency limit|simultaneous * limit|maximum * connections|"
      "превышен~ лимит|превышен~ * лимит|превышен~ количеств~|слишком часто|連線數|连接数|连接过多|太多连接|发送过多|"
      "接続数|宛先数|limite * envio|limite d envoi|limite * connexion~|limite * atteint~|limite de mensajes|limite di "
      "invio|limiet overschreden|"
      "limit wiadomosci|limit polaczen|limit odeslanych" },
    { CLASS_RATE_LIMIT, 7,
      "per SPAN|pro SPAN|por SPAN|par SPAN|all ora|na godzine|в час|в сутки|numerous attempts|mass mail~|high "
      "volume|excessive volume|unusual volume|excessive number|excessive rate|too much mail|too much|"
      "flood~|traffic shaping|burst|limit reached|limit was reached|has reached * limit" },
    { CLASS_RATE_LIMIT, 6,
      "prilisn~ pocet|prekrocen~ * limit|try again slower|too many|zu viele|trop de|demasiad~|troppi|troppe|muitos|te "
      "veel|zbyt wiele|zbyt wielu|слишком много|太多|過多|"
      "exceed~ * message|exceeded * limit~|limits * how many|tarpit~" },
    { CLASS_RATE_LIMIT, 5, "MUCH * EXCEED|EXCEED * MUCH|MUCH EXCEED|EXCEED MUCH" },
    { CLASS_RATE_LIMIT, 4, "limit exceeded|exceeds * limit~|over limit|limit~ overschreden" },

    /* your address or domain is listed, blocked, without PTR, of bad name */
    { CLASS_REPUTATION, 10, "specified in the ptr record|match * ptr record" },
    { CLASS_REPUTATION, 9,
      "without ptr|missing ptr|no ptr|ptr record|sender history|adres ip * REFUSED|ip adresse * REFUSED|direccion ip * "
      "REFUSED|indirizzo ip * REFUSED|adresse ip * REFUSED|endereco ip * REFUSED|ip адрес * REFUSED|ip adres * "
      "REFUSED|access denied ip name lookup|cxbl|cdrbl|insecure mail relay|insecure relay|user complaints|due to ip "
      "reputation|valid sender domain * "
      "reverse dns|"
      "email reputation|ip reputation|sender reputation|reputation service~|bad senders|"
      "not authorized to send email directly|not authorized to send mail directly|reverse dns|"
      "low reputation|poor reputation|bad reputation|block list|banned sending ip|open relay|open proxy|open proxies" },
    { CLASS_REPUTATION, 8,
      "because of abuse|owing to abuse|ORANGE 101|ORANGE 102|ORANGE 103|ORANGE 510|ORANGE 630|ORANGE "
      "999|ib103|ib104|ib105|ib106|ib108|ib110|ib111|ib112|ib113|ipbl~|hl rep|hl mep|hl ihu|hl ipb|rp qrc|wm bli|dt "
      "rbl|rtr bb|rtr bg|rtr bl|rtr du|rtr sc|rly b1|rly nw|rly sn|dyn t1|dns p1|dns nr|dns b1|unresolvable relay "
      "host|HOST is blocked|HOST has been blocked|HOST is REFUSED|dynamisch~|"
      "sending spam|sends spam|spams from|from dynamic|dynamic ips|your isp|bad ip|ip profile|unverifyable|unwanted "
      "messages|"
      "confirm this mail server|ip name lookup|name lookup failed|ip address * REFUSED|your ip * "
      "REFUSED|rdns|ptr|fcrdns|reverse lookup|reverse hostname|reverse resolution|reverse address|inverse dns|"
      "find your hostname|find your reverse|cannot resolve your|could not resolve your|can't resolve your|"
      "dns resolution of your|reputation|blacklist~|black list~|blocklist~|blacklisted|denylist~|blackhole~|"
      "blocked using|listed by|listed on|listed in|listed at|is listed|dnsbl~|dnsrbl|/dnsbl~|rbl|rbls|rblsmtpd|rhsbl|"
      "/rbl|/spamhaus|/spamcop|/sorbs|/barracudacentral|/uceprotect~|/abuseat|/psbl|/surriel|/invaluement|"
      "/junkemailfilter|/hostkarma|/mailspike|/senderscore|/senderbase|/talosintelligence|/nixspam|/spamrats|"
      "/backscatterer|/lashback|/blocklist|/blacklist~|/rbldns|/cloudmark reset|//csi cloudmark|//ipcheck|//dnsbl|"
      "//sender office|//delist|//block|client host blocked|client host * blocked|client * blocked|client host "
      "rejected|"
      "client rejected|host rejected|host * blacklisted|access from IP|access from * blocked|bloqu~ * adresse ip|"
      "adresse ip * bloqu~|your access to submit|sender * listed|"
      "domain * listed|blocked for spam~|block for spam|dynamic ip|dynamic address|dynamic addresses|dynamic pool|"
      "dynamic host|dial up|dialup|residential|dynamically assigned|generic hostname|generic rdns|generic ptr|geoip|"
      "country|originating network|spam source|spam sources|known spam~|spammer|spammers|spamtrap~|complaints|"
      "spam reports|spam abuse|bad sender ip|suspicious ip|ip * suspicious|sender score|trust level|"
      "schwarze liste|schwarzen liste|sperrliste|blockliste|negativliste|liste noire|listes noires|lista negra|"
      "listas negras|lista nera|liste nere|zwarte lijst|czarna lista|czarnej liscie|черн~ список|черном списке|"
      "черные списки|блэклист~|блеклист~|репутаци~|cernem listu|cerna listina|cerne listine|svarta listan|"
      "reputacion|reputacao|reputazione|reputacj~|黑名单|黑名單|信誉|信譽|信用度|ブラックリスト|レピュテーション|"
      "逆引き|"
      "反向解析|反向dns|ptr记录|dns inverse|dns inverso|resolucion inversa|dns reverso|обратн~ зон~|обратн~ запис~|"
      "обратн~ dns|rekord odwrotny|revdns|reverz~|reverse * eintrag|평판|블랙리스트" },
    { CLASS_REPUTATION, 7,
      "ip adress|messages from IP|mail from IP|connections * not * accepted from|connections from|connection from * "
      "REFUSED|"
      "not accept~ * connections|IP * REFUSED|REFUSED * IP|your ip REFUSED|ip * REFUSED|"
      "ip address is|your domain * REFUSED|your host * REFUSED|your server * REFUSED|your mail server|"
      "your network|part of their network|spamming|spam from your|abuse from|abusive|due to abuse|abuse~ * IP|"
      "geblockte ip|sending ip|source ip|sender ip|client ip|ip blocked|bad host|bad helo|helo * spoof~|mail from your|"
      "sender * blacklisted|sender * blocked|blocked sender|banned sender|block~ * sender|sender has been blocked|"
      "helo command rejected host not found|helo command rejected access denied|not * accepted from servers|"
      "sending server|sending host|sending mta|domain * blocked|ips bloqu~|"
      "connection blocked|connection REFUSED * policy|host * not allowed|network not allowed|client not allowed|not "
      "allowed to connect|no access from|"
      "cloudmark|proofpoint dynamic|ip adresse * REFUSED|direccion ip|indirizzo ip|endereco ip|adres ip|ip адрес~|"
      "ip地址|ipアドレス" },
    { CLASS_REPUTATION, 6,
      "not trusted|untrusted|go away|requires confirmation|REFUSED see|aup|your ip|blocked "
      "by|blocked|//unsolicitedip~|blocage|not whitelisted|whitelist|whitelisted|connection REFUSED by|"
      "client host|your host|not accepting mail from|connection rejected|connections REFUSED" },
    { CLASS_REPUTATION, 5, "IP|spam block|connection denied|access from" },

    /* judged from the message */
    { CLASS_CONTENT, 10, "duplicate header~|multiple * headers" },
    { CLASS_CONTENT, 9,
      "encoded word|surbl|uribl|/surbl|/uribl|message body contains|body contains|clamav|password protected|contains * "
      "virus|"
      "/mcspam~|attachment type|blocked attachment|attachment * REFUSED|attachments * REFUSED|message id header|"
      "no message id|missing message id|MALICE found|found MALICE|infected with|infected by|infected mail|"
      "infected message|infected email|found * MALICE|MALICE detected|detected * MALICE|contains * MALICE|"
      "kennwortgeschuetzt~" },
    { CLASS_CONTENT, 8,
      "indesirable~|non sollicite~|werbung|scored * points|spam points|score * limit|fingerprint~|pyzor|razor2|dcc "
      "check|ORANGE "
      "506|ib212|ib705|urlbl~|hvu b1|hvu b2|no spam|spam blocked|too much spam|spamming not allowed|our filter|our "
      "filters|вредонос~|zlosliw~|szkodliw~|schaedlich~|malveillant~|malicios~|content examination|REFUSED url|REFUSED "
      "urls|url REFUSED|url is REFUSED|REFUSED link~|subject contains|subject line|REFUSED word~|word~ "
      "REFUSED|prohibited word~|MAIL * contains|"
      "dangerous file|file attached|attached file~|forbidden file|blocked file|base64|corrupt message|corrupted "
      "message|"
      "MALICE|/malware|attachment|attachments|trojan~|eicar|spam detected|detected spam|detected as spam|considered "
      "spam|considered as spam|"
      "classified as spam|classified spam|flagged as spam|marked as spam|looks like spam|look like spam|"
      "appears to be spam|appears to be unsolicited|identified as spam|identified as * spam|recognized as spam|"
      "recognised as spam|likely spam|likely unsolicited|probable spam|probably spam|possible spam|suspected spam|"
      "suspicion of spam|spam message|spam MAIL|spam content|spam filter~|spamfilter~|spam score~|spam probab~|"
      "scored * spam|spam * threshold|spam * score|spamassassin|rspamd|is spam|as spam|be spam|spam rejected|"
      "spam not|spam * rejected|high probability of spam|unsolicited bulk|unsolicited MAIL|junk mail|junk MAIL|"
      "phish~|scam|fraud~|malicious|suspicious * content|"
      "nature of the content|suspicious link~|message content|mail content|email content|content rejected|"
      "content REFUSED|REFUSED content|content filter|content policy|content * prohibited|content * denied|"
      "content scan~|content restrictions|prohibited content|banned content|banned file~|banned name|"
      "restricted attachment|attachment~ not|forbidden attachment|illegal attachment|dangerous attachment|"
      "prohibited attachment|file type|filetype|file extension|file name extension|executable~|zip file~|"
      "encrypted zip|encrypted archive|encrypted attachment|macro~|potential security issue|security issue|"
      "rfc 5322|rfc5322|rfc 2822|rfc2822|rfc 822|rfc822|rfc 2047|"
      "header~ * missing|missing * header~|header~ * malformed|malformed header~|malformed MAIL|malformed mime|"
      "invalid header~|header~ invalid|header~ * invalid|bad header~|header syntax|header error|header line|"
      "headers * too|too many received|header check~|body check~|mime * error|mime error|invalid mime|bad mime|"
      "mime structure|mime type|multipart|empty message|no subject|subject * empty|blank subject|"
      "subject header|from header * missing|from header * invalid|from header syntax|missing from header|no from "
      "header|"
      "from header|date header|invalid date|missing date|character set|charset|eight bit|8bit data|8 bit data|"
      "8 bit characters|bayes~|fuzzy|contains * link|contains * links|contains * url|contains * urls|contains * "
      "spam|gtube|spam suspicion|bad url|url * listed|urls * listed|"
      "prohibited url|message filtered|filtered message|"
      "message * filtered|schadsoftware|schadcode|schadprogramm|viren~|virenfund|als spam|piece jointe|"
      "pieces jointes|contenu|pourriel~|correo no deseado|no deseado|contenido|archivo adjunto|adjunto~|allegat~|"
      "contenuto|indesiderat~|anexo~|conteudo|indesejad~|lixo|bijlage~|ongewenst~|zalacznik~|wirus~|niechcian~|"
      "вирус~|вложени~|содержим~|спам~|нежелательн~|prilo~ soubor|zavirovan~|obsah~|nevyzadan~|"
      "垃圾邮件|垃圾郵件|垃圾信|病毒|内容|內容|附件|迷惑メール|ウイルス|ウィルス|スパム|添付|本文|스팸|바이러스" },
    { CLASS_CONTENT, 7,
      "bulk mail|bulk email|MAIL is malformed|antispam|anti spam|message score|mail score|pattern detect~|message "
      "filter|content scanner detected|infectious|email flagged|advertis~|"
      "not RFC compliant|rfc compliant|rfc compliance|headers|mime|//unsolicitedmessage~|//rfcmessagenoncompliant|"
      "high spam|spam like|spammy|message * suspicious|content|spam-like|unsolicited" },
    { CLASS_CONTENT, 6,
      "MAIL blocked|MAIL is blocked|MAIL has been blocked|MAIL was "
      "blocked|spam|spam~|skräppost~|roskaposti~|junk|ube|uce|anhang|anlage|suspicious|filtered|header" },
    { CLASS_CONTENT, 4, "body|detected that this message|//spam|//help spam" },
    { CLASS_CONTENT, 5, "security policies|message contains|objectionable|offensive" },

    /* SPF, DKIM, DMARC, ARC */
    { CLASS_AUTH_POLICY, 10, "/dmarc~|/dkim|/spf|openspf~|//openspf~|ptr records and authentication" },
    { CLASS_AUTH_POLICY, 9,
      "arc validation|ORANGE 401|ORANGE 517|ib508|cxsndr|arc seal~|arc chain|arc fail~|arc verification|bad arc|"
      "invalid arc|sender policy framework|domainkeys|domain keys|domainkey|adsp|"
      "sender is unauthenticated|unauthenticated email|unauthenticated mail|unauthenticated message|"
      "authentication information|authentication checks|purported responsible|senderid|//unauthenticated~|"
      "//ipv6autherror|domain * mismatches client ip|ip for sending mail of domain|"
      "not permitted to send mail for|domain * does not authorize|not authorized to send mail for|not authorized to "
      "send mail from|"
      "not allowed to send mail for|not authorized to send email for|not authorised to send mail|"
      "designated * sender|not a designated|does not designate|email authentication|message authentication failed" },
    { CLASS_AUTH_POLICY, 9, "sender id pra|sender id not|sender id check|sender id fail~" },
    { CLASS_AUTH_POLICY, 8,
      "sender id|signature * invalid|invalid signature|bad signature|signature verification|signature did not verify|"
      "missing signature|sender authentication|domain authentication|not authenticated by|fails authentication|"
      "ip * not authorized * domain|ip * not allowed * domain|sending domain * authenticat~|"
      "domain owner * policy|送信ドメイン認証|domain alignment|alignment" },

    /* no relaying for you, log in first */
    { CLASS_RELAY_DENIED, 10, "not an open relay|open relay * not allowed|too many unauthenticated" },
    { CLASS_RELAY_DENIED, 9,
      "tenantattribution|tenantinboundattribution|not permitted to relay|not allowed to relay|not authorized to relay|"
      "relay access denied|relay disabled|relaying disabled|relaying denied|relaying disallowed|relay denied|relay "
      "denial|relaying prohibited|"
      "relay prohibited|relay * not permitted|relay not permitted|unable to relay|cannot relay|can't relay|rcpthost~|"
      "authrequired|/authrequired|auth required|authentication required|authentication is required|must authenticate|"
      "must be authenticated|not logged in|must log in|must login|need to log in|log in to send|login required|log in "
      "first|authenticate first|smtp authentication|"
      "smtp auth|smtp after pop|pop before smtp|check mail first|check for new mail|check your mail|"
      "client was not authenticated|unauthenticated sender~|unauthenticated user~|no unauthenticated|"
      "local or gateway domains|credentials for relay|mail relay|email relay|authentication needed|"
      "relaytenant~|relaynotallowed|/relaydenied|password not accepted|bad username or password|"
      "invalid username or password|wrong password|authentifizierung erforderlich|anmeldung erforderlich|"
      "nicht angemeldet|authentification requise|requiere autenticacion|autenticacion requerida|"
      "autenticazione richiesta|autenticazione necessaria|autenticacao necessaria|autenticacao requerida|"
      "requer autenticacao|kein relay~" },
    { CLASS_RELAY_DENIED, 8,
      "not handled by this|no authentication|nonlocal recipient|non local "
      "recipient|authentifizier~|authentifiez|autentique|forwarding to remote|server authentication|ORANGE 305|ORANGE "
      "402|failed to authenticate|authentication turned on|reenvio|incorrect authentication|authentication "
      "data|application specific password|your web browser|"
      "cannot deliver mail for|can't deliver mail for|not handle mail for|don't handle mail for|relaying|relay * "
      "REFUSED|relay * not|no relay~|no relay|not to "
      "relay|do not relay|don't relay|"
      "doesn't relay|does not relay|not relay~|relay attempt|relay not|relay restrict~|open to relay|relayed|"
      "not authenticated|isn't authenticated|need to authenticate|"
      "please authenticate|requires authentication|require authentication|authentication * required|"
      "sender * not * logged|login first|invalid login|login failed|invalid credentials|bad credentials|"
      "anmeldung|delivery is not allowed|credentials|authentication credentials|authentication failed|authentication "
      "failure|authentication error|"
      "authentication unsuccessful|authentication rejected|authentication disabled|auth failed|auth failure|"
      "auth error|non accepted domain|nonaccepted domain|not a gateway|not gateway|"
      "not * local domain|not a local domain|not our domain|domain not hosted|domain is not hosted|"
      "not hosted here|not handled here|domain not local|not local domain|domain not handled|no such domain here|"
      "domain * not served|do not accept mail for|don't accept mail for|not accept mail for|"
      "not accept messages for|not an open relay|weiterleitung * verweigert|authentifizierung|relais|"
      "autenticacion|autenticazione|autenticacao|authenticatie|aanmelden|uwierzytelni~|autoryzac~|аутентификац~|"
      "авторизац~|авторизов~|релей~|релэй|релеинг|пересылк~ * запрещ~|autentizac~|prihlas~|認証|中継|リレー|认证|認證|"
      "身份验证|中继|转发|转送|authentifikation|authentification" },
    { CLASS_RELAY_DENIED, 7, "not * relay" },
    { CLASS_RELAY_DENIED, 6, "relay|relay~|weiterleit~|auth|authenticate|login|relayer|not local|not in my list" },

    /* the sender's address or domain does not exist or may not be used */
    { CLASS_BAD_SENDER, 10,
      "unregistered domains|sender address rejected user unknown|sender address rejected undeliverable|sender address "
      "rejected unverified|"
      "sender address rejected malformed|sender address rejected domain" },
    { CLASS_BAD_SENDER, 10, "from header domain|from header * not exist|from domain * not exist" },
    { CLASS_BAD_SENDER, 9,
      "sender REFUSED * UNKNOWN|sendasdenied|/sendasdenied|send as denied|not allowed to send as|permission to send "
      "as|permissions to send as|"
      "send as this|send on behalf|badmailfrom|sender signature|envelope sender is in|not accept mails from this "
      "sender|"
      "spoof~ * address|sender does not exist|sender address does not exist|sender domain does not exist|"
      "bad outbound sender|email address is not verified|address is not verified|identities failed|"
      "not owned by|sender * not belong|sender * not match|sender verify fail~|sender verification fail~|not allowed "
      "to use the domain|"
      "not allowed to send from|not authorized to send from|not allowed to use this|not permitted to send from|"
      "SENDER * existiert nicht|SENDER * nicht existent|SENDER * n existe pas|SENDER * no existe|SENDER * non esiste|"
      "SENDER * nao existe|SENDER * nie istnieje|SENDER * не существует|SENDER * bestaat niet|SENDER * neexistuje|"
      "发件人 不存在|domain of sender address" },
    { CLASS_BAD_SENDER, 9, "batv|SENDER domain * not resolve|SENDER domain * not exist" },
    { CLASS_BAD_SENDER, 8,
      "may not send * as|cannot send * as|can't send * as|not * send mail as|ORANGE 403|ORANGE 405|ORANGE 415|ORANGE "
      "421|ib506|cxsmtp|dt sum|mi spb|wm blu|bogus mail from|bouncedeny|backscatter|third party dsns|unsigned "
      "dsn|returned mail not|recursive cname|mx records for|different address or alias|not yours|not allowed to "
      "send|sender unknown|sender domain unknown|unknown sender|sender domain * not|sender address * "
      "not|"
      "sender address * REFUSED|invalid sender|sender invalid|sender address invalid|sender address is invalid|"
      "sender address verification|sender * not * exist|sender * not found|sender * unknown|sender not|"
      "sender * cannot be verified|sender * could not be verified|verify sender|verify * sender|"
      "spoof~|anti spoofing|forged|forgery|faked|must resolve|mail from must|sender domain must|sender domain|mail "
      "from domain|"
      "mail from address|from address|from domain|mailfrom|return path|null sender|empty sender|empty envelope|"
      "blank sender|sender blank|no bounces|bounces * not accepted|bounce messages not|null return path|"
      "bad sender|sender rejected|sender denied|sender refused|sender is not|sender * not permitted|"
      "sender * not allowed|sender * not authorized|sender * not authorised|not a verified|not verified|"
      "unverified|unregistered domain|unregistered sender|envelope sender|envelope from|reverse path|"
      "SENDER * UNKNOWN|UNKNOWN SENDER|SENDER * REFUSED|domain * not allowed to send|domain * not verified|"
      "sender * null mx|sender * has no mx|sender * no * mx|your account * disabled|your account * suspended|your "
      "account * blocked|"
      "account * not * activated|发件人|發件人|发信人|寄件人|送信者|差出人" },
    { CLASS_BAD_SENDER, 6,
      "SENDER * not|SENDER * nicht|SENDER * pas|SENDER * non|SENDER * nao|SENDER * niet|SENDER * nie|SENDER * не" },
    { CLASS_BAD_SENDER, 5,
      "not accept mail from|sender "
      "address|sender|absender~|expediteur~|emetteur~|remitente~|mittente|remetente|afzender~|nadawc~|"
      "отправител~|odesilatel~|送信元" },

    /* too large */
    { CLASS_SIZE, 10, "number of attachments|limit of * attachments" },
    { CLASS_SIZE, 9,
      "ORANGE 514|taille limite|message too large|message too big|message too long|message is too|message size "
      "exceed~|message length exceed~|"
      "message file too|attachment~ too|attachments too|recipsizelimit|/recipsizelimit|size * exceed~ * MUCH|"
      "message size|MAIL size|databytes|maximum size|maximum message size|message exceed~ * size|size limit|"
      "maximum allowed size|size exceed~|max message size|message length|nachricht * zu gross|nachrichtengroesse|"
      "message trop|trop volumineu~|trop gros|trop grand|taille maximale|taille du message|demasiado grande|"
      "tamano maximo|tamano del mensaje|troppo grande|dimensione massima|dimensioni~ * messaggio|muito grande|"
      "tamanho maximo|tamanho da mensagem|te groot|maximale grootte|za duza|za duzy|zbyt duza|zbyt duzy|"
      "слишком большо~|слишком велик~|размер письма|размер сообщения|prilis velk~|大きすぎ|サイズ|过大|太大|過大|"
      "邮件大小|for stor|liian suuri|çok büyük" },
    { CLASS_SIZE, 8,
      "too large|too big|larger than|bigger than|exceed~ * size|exceed~ * administrative limit|exceed~ * bytes|"
      "zu gross|zu groß|groesse ueberschr~|maximale groesse|maximalgroesse|taille|tamano|tamanho|rozmiar~|размер~|"
      "velikost~|大小|oversize~|size restriction~|size maximum" },
    { CLASS_SIZE, 5, "size|groesse|grootte" },

    /* no room in the mailbox */
    { CLASS_MAILBOX_FULL, 10,
      "ORANGE 417|too much mail data|space in mailbox|space in * mailbox|mailbox full|mailbox is full|mailbox * is "
      "full|mailbox for user is full|mailbox over quota|mailbox quota|"
      "inbox is full|inbox full|over quota|overquota|out of storage|overquota~|//overquota~|quota exceeded for|"
      "mailbox exceed~|mailbox has exceed~|mailbox size limit|mailbox * exceed~|mailbox storage|"
      "mailbox * over its|mailbox * over the|WHO has too many messages|not enough storage space in|does not have "
      "enough space|user space|exceed~ * disk|"
      "exceeded storage allocation|storage allocation|account is full|user is full|"
      "space allowed|boite * pleine|postfach * voll|postfach ist voll|buzon * lleno|casella * piena|caixa * cheia|"
      "skrzynk~ * peln~|ящик * переполнен~|ящик * заполнен|schrank~ * plna|postvak * vol|postbus * vol|"
      "メールボックス * 満|メールボックス * いっぱい|邮箱 * 满|信箱 * 滿|邮箱空间|邮箱容量|mailboxfull" },
    { CLASS_MAILBOX_FULL, 8,
      "quota exceed~|exceed~ * quota|quota * exceed~|exceed~ * storage|storage * exceed~|storage full|storage limit|"
      "storage is full|disk quota|quota full|quota * full|quota limit|user quota|not enough storage space available in|"
      "mailbox size|mailbox space|mailfolder is full|maildir|WHO * full|WHO over|WHO is over|WHO * is over|WHO * over "
      "its|WHO * over quota|insufficient * quota|"
      "kontingent~|speicherplatz|voll|pleine|saturee|depasse * quota|quota * depass~|superad~ * "
      "cuota|cuota|lleno|llena|"
      "piena|pieno|superat~ * quota|quota superat~|spazio esaurito|cheia|cheio|cota excedida|quota excedida|"
      "przepelnion~|przekroczon~ * limit * skrzynk~|переполнен~|квот~|превышена квота|недостаточно места|preplnen~|"
      "kvot~|plna|容量|満杯|いっぱい|已满|已滿|空间不足|空間不足|配额|超过容量|fullt|inboxens|용량" },
    { CLASS_MAILBOX_FULL, 6, "quota|is full|quotas|full" },

    /* the recipient does not exist, or no more */
    { CLASS_UNKNOWN_USER, 10,
      ".4.1 * recipient address rejected access denied|.4.1 * recipient addresses rejected access denied" },
    { CLASS_UNKNOWN_USER, 9,
      "user unknown|unknown user|no such user|no such mailbox|no such recipient|no such address|no such account|"
      "no such person|no such mail|no such email|no such alias|no such local|no such virtual|no such subscriber|"
      "no mailbox|not a valid mailbox|not a valid user|user does not exist|user doesn't exist|user not found|"
      "recipient not found|recipient unknown|mailbox not found|account not found|address not found|recipnotfound|"
      "/recipnotfound|recipientnotfound|/recipientnotfound|mailbox unallocated|not our user|account disabled|"
      "account is disabled|account has been disabled|expired account|this account has been|mailbox disabled|"
      "mailbox is disabled|disabled recipient|unroute~ address|unrouteable address|"
      "addressee unknown|user invalid|"
      "用户不存在|用戶不存在|收件人不存在|账号不存在|邮箱不存在|帐号不存在|宛先不明|ユーザーが存在|ユーザが存在|"
      "존재하지 않는 사용자|사용자가 존재하지" },
    { CLASS_UNKNOWN_USER, 9, "ORANGE 416|ORANGE 418|ORANGE 420|ORANGE 426|edge blocking|badrcptto|badrecipientto" },
    { CLASS_UNKNOWN_USER, 8,
      "WHO not present|WHO not in|WHO * directory|nessun utente|no mail box|mail box not|mail box unavailable|not a "
      "local address|not a local user|recipient has been denied|recipient not ok|no one at|home directory|reach is "
      "GONE|contact is GONE|has left|WHO UNKNOWN|WHO * UNKNOWN|UNKNOWN WHO|UNKNOWN * WHO|UNKNOWN email WHO|UNKNOWN "
      "local|WHO not found|"
      "WHO * not found|WHO * not exist|WHO * doesn't exist|WHO doesn't exist|doesn't have * account|"
      "does not have * account|WHO * not known|WHO * not valid|not a known WHO|not a valid WHO|not valid WHO|"
      "no WHO|no valid WHO|no active WHO|WHO GONE|WHO * GONE|GONE WHO|account is blocked|mailbox is blocked|user is "
      "blocked|WHO * no longer|no longer * WHO|"
      "no longer active|no longer available|no longer valid|no longer exist~|no longer in use|no longer with|"
      "no longer employed|no longer works|no longer on|WHO * not active|not an active|WHO * not available|"
      "WHO not available|account * discontinued|WHO * cannot be found|WHO * could not be found|can't find * WHO|"
      "doesn't exist|does not exist|do not exist|not exist|doesn't handle mail for that user|has been deactivated|"
      "ADDR unknown|ADDR * UNKNOWN|ADDR * does not exist|ADDR not found|ADDR * GONE|ADDR is not|no one with that|"
      "nobody|not listed in|nicht bekannt|existiert nicht|nicht gefunden|kein~ postfach|kein benutzer|kein~ empfaenger|"
      "WHO * nicht vorhanden|n existe pas|n existe plus|inexistant~|aucun utilisateur|"
      "no existe|inexistente|sconosciut~|inesistente|non esiste|nao existe|inexistente|bestaat niet|niet bekend|"
      "nie istnieje|nie ma takiego|brak takiego|не существует|не найден~|нет такого|не зарегистрирован~|neexistuje|"
      "nenalezen~|finns inte|findes ikke|finnes ikke|ei ole olemassa|bulunamadi|nem letezik|nu exista|không tồn tại|"
      "存在しません|存在しない|存在致しません|見つかりません|不存在|未找到|无此用户|無此用戶|无效的收件人|"
      "存在していない|"
      "존재하지|mailbox name not|address rejected ADDR|recipient UNKNOWN|bad destination|bad recipient|"
      "not a mailbox|recipient ok but" },
    { CLASS_UNKNOWN_USER, 7,
      "is suspended|been suspended|can't accept user|non existent|unavaiable|is not active|isn't active|currently "
      "suspended|has been "
      "suspended|temporary locked|archived|archivee|suspend the|has been replaced|no encontrad~|non trovat~|nao "
      "encontrad~|introuvable|нет пользовател~|пользовател~ нет|/resolver /adr|due to "
      "inactivity|inactivity|unallocated|recipient address~ rejected undeliverable|undeliverable address|recipient "
      "address~ rejected "
      "unverified|"
      "mailbox unavailable|mailbox is unavailable|account unavailable|user unavailable|recipient unavailable|"
      "address unavailable|WHO ADDR is unavailable|WHO is unavailable|mailbox not available|recipient "
      "rejected|recipient REFUSED|"
      "recipient is not|recipients * not|address unknown|deactivated|inactive|has moved|moved to|user not local|"
      "not known|not deliverable|not a user|inconnu|inconnue|unbekannt~|desconocid~|desconhecid~|onbekend~|"
      "nieznan~|неизвестн~|neznam~|okänd|ukendt|ukjent|tuntematon|address no longer|bogus address|UNKNOWN MAIL address|"
      "UNKNOWN recipient|not a * recipient|not accept~ * recipient" },
    { CLASS_UNKNOWN_USER, 4, "address rejected|addresses rejected" },
    { CLASS_UNKNOWN_USER, 5,
      "null mx|nullmx|bad address|invalid address|UNKNOWN|domain not found here|"
      "does not accept mail|not accepting mail" },

    /* encryption demanded or failed */
    { CLASS_TLS, 9,
      "starttls|requiretls|require tls|tls required|tls is required|must use tls|over a tls connection|"
      "session encryption|mta sts|tlsa|certificate not|certificate verif~|tls negotiation|tls handshake|ssl handshake|"
      "tls currently|tls not available|tls is not available|encryption required|encryption needed|"
      "encryption is required|unencrypted|unverschluesselt~|//tlsrequired" },
    { CLASS_TLS, 8,
      "plaintext|plain text connection~|cleartext|clear text|dane|klartext|"
      "tls|tlsv~|ssl|sslv2|sslv3|encryption|certificate|certificates|secure "
      "connection|handshake|cipher|ciphers|encrypted connection|"
      "encrypted session|encrypt "
      "your|verschluessel~|zertifikat~|chiffrement|chiffree~|cryptage|cifrado|cifrada|crittograf~|"
      "cifratura|criptograf~|versleutel~|szyfrowan~|шифрован~|сертификат~|sifrovan~|加密|暗号化|connexion securisee|"
      "conexion segura" },

    /* syntax and sequence */
    { CLASS_PROTOCOL, 10,
      "malformed sender|malformed recipient|malformed WHO|may not be repeated|UNKNOWN authentication|UNKNOWN auth" },
    { CLASS_PROTOCOL, 9,
      "too many lines|this is an smtp|domain name required|domain required|"
      "syntax error|syntax mail|syntax rcpt|syntax ehlo|syntax helo|synchronization|synchronisation|//smtplf|"
      "no recipients|address syntax|bad sequence|out of sequence|out of order|rfc 5321 address|"
      "command not recognized|command not recognised|command not implemented|command unrecognized|command unrecognised|"
      "command unknown|unrecognized command|unrecognised command|unknown command|invalid command|bad command~|"
      "bad sequence of|unimplemented command|commands not|bare lf|bare cr|bare linefeed~|bare line feed~|bare newline~|"
      "barelinefeeds~|/barelinefeeds~|barelf|fully qualified|fqdn|helo first|ehlo first|mail first|rcpt first|"
      "rcpt is required|need rcpt|need mail|need helo|helo * invalid|invalid helo|invalid ehlo|ehlo * invalid|"
      "too many errors|too many unrecognized|too many bad commands|too many syntax|too many protocol|"
      "too many invalid commands|too many unknown commands|protocol violation|protocol error|talk~ too "
      "soon|pregreeting|"
      "before greeting|early talker|multiple mail commands|nested mail|command line|improper command|"
      "improper use of smtp|command pipelining|smtputf8|say hello|polite people|be polite|no valid recipients|"
      "syntaxfehler|ungueltig~ befehl|unbekannt~ befehl|erreur de syntaxe|error de sintaxis|errore di sintassi|"
      "erro de sintaxe|bledna skladnia|синтаксическ~|chyba syntaxe|语法错误|構文" },
    { CLASS_PROTOCOL, 9, "501:UNKNOWN WHO|501:bad WHO|501:malformed WHO|501:WHO UNKNOWN" },
    { CLASS_PROTOCOL, 8,
      "ib501|ib502|mi cel|mi ccl|syntax|unsupported option~|unknown option~|unrecognized option~|binarymime|sender "
      "already|already "
      "specified|already given|already has|parameter~ not|invalid parameter~|"
      "parameter~ * invalid|unknown parameter~|unsupported parameter~|parameter~ unrecognized|unrecognized parameter~|"
      "command parameter~|command~ * not|invalid argument~|argument~ * invalid|bad argument~|bad parameter~|"
      "malformed address|malformed parameter~|not a valid rfc|rfc 5321|rfc 821|rfc821|rfc 2821|rfc2821|rfc5321|"
      "non ascii|8bitmime|utf 8|utf8|internationalized|internationalised|bdat|chunking|pipelining|unexpected command|"
      "line limit|domain literal~|address literal|no command|line feed|lone cr|lone lf|helo name|helo command|"
      "ehlo command|sintaxis|sintassi|sintaxe|skladni~|befehl|argument~|unknown smtp|invalid domain name in helo|"
      "end of data not|not * pipelining|mail not started|no mail transaction|transaction not|"
      "invalid domain name|invalid hostname|address format|invalid address format|illegal character~|illegal address" },
    { CLASS_PROTOCOL, 6,
      "line too long|line is too long|line length|lines too "
      "long|commande|comando|команд~|polecenie|prikaz|コマンド|命令|"
      "protocol|not implemented|not recognized|unsupported|not supported|helo|ehlo" },

    /* next hop or DNS unreachable, timeouts */
    { CLASS_NETWORK, 9,
      "connection expired|host name lookup|recipient address~ rejected domain not found|destination system|connection "
      "timed out|no route to|host "
      "unknown|unknown host|host not found|host or domain name not found|"
      "message expired|in the queue too long|delivery expired|delivery time expired|dns query|dns lookup|unknown "
      "domain name|unroute~ mail domain|unroute~ domain|dns error|"
      "dns failure|dns timeout|dns server|nameserver|name server timeout|nonexistentdomain|/nonexistentdomain|nxdomain|"
      "nonexistent domain|connection was reset|connection reset|connection dropped|network unreachable|"
      "network is unreachable|host unreachable|destination unreachable|nicht erreichbar|nicht erreicht|injoignable|"
      "inalcanzable|irraggiungibile|inacessivel|niet bereikbaar|недоступен сервер|no answer from|nieosiagaln~|"
      "not reachable|unreachable" },
    { CLASS_NETWORK, 8,
      "conversation with|no route for|a gateway for|dead domain|mail domain * unknown|mail domain * not|recipient "
      "domain|dns domain|domain * does not exist|domain * doesn't exist|verbindung * fehlgeschlagen|zielserver|"
      "name resolution|domain does not exist|domain doesn't exist|domain must exist|domain name not found|domain not "
      "found|unknown domain|"
      "domain unknown|name or service not known|deliver to domain|did not respond|multiple retries|delivery attempts|"
      "for a long time|giving up|could not be delivered for|not been collected|timed out|unable to contact|unable to "
      "connect|unable to reach|unable to establish|able to establish|"
      "cannot connect|can't connect|could not connect|couldn't connect|failed to connect|cannot reach|could not reach|"
      "connection failed|connection lost|connection closed by|lost connection|connection refused|socketerror|"
      "socket error|failover|not responding|no response from|next hop|name server|host is down|"
      "host down|host * not found|host lookup|address lookup|mx lookup|mx host~|mx record~ * not|no mx|"
      "domain does not resolve|no a record|network error|network failure|network problem|could not resolve|"
      "cannot resolve|unable to resolve|zeitueberschreitung|delai * depasse|delai d attente|tiempo de espera|"
      "tempo scaduto|tempo esgotado|limit czasu|тайм аут|таймаут|время "
      "ожидания|超时|逾時|连接失败|タイムアウト|接続できません|"
      "接続できませんでした|sender verify callout|complete * callout|verify address|verifying address" },
    { CLASS_NETWORK, 6, "timeout|time out|dns|network|unable to verify" },
    { CLASS_NETWORK, 5, "remote server|remote host|no such domain" },
    { CLASS_NETWORK, 4, "destination|host" },

    /* trouble at the server */
    { CLASS_LOCAL, 10,
      "queue is full|queue full|spool full|memory limit|failed to scan|ORANGE 505|unable to scan|cannot scan|could not "
      "scan|clamd * not" },
    { CLASS_LOCAL, 9,
      "relaying not configured|next hop lacks|"
      "internal * error|internal error|internal server|local error|error in processing|error * processing|"
      "processing error|configuration error|config error|misconfigur~|configuration problem|disk full|not enough "
      "disk|out of disk|low disk|"
      "no space left|insufficient system|insufficient * system storage|system storage|system full|mail system full|"
      "system is full|out of memory|cannot allocate|space shortage|disk is full|system config|database * "
      "error|database error|database is|db error|"
      "ldap server|ldap error|ldap * unavailable|mysql server|sql error|shutting down|shutdown|maintenance|server "
      "ports|plugin timeout|could not load|"
      "temporary authentication failure|temporary auth|authentication server|auth server|"
      "resources temporarily|insufficient * resources|insufficient resources|out of resources|insufficient disk|"
      "insufficient storage|insufficient space|virus scanner|scanner * unavailable|scanning error|scan error|"
      "clamd|content filter * fail~|content filter unavailable|filter * not available|milter|temporary lookup failure|"
      "lookup failure|lookup failed|lookup error|no healthy|replicated|read only|readonly|i/o error|"
      "service overloaded|overload~|high load|load average|system load|too busy|server busy|server is busy|"
      "system is busy|busy|try again later * busy|mailbox is locked|mailbox locked|mailbox busy|being accessed|"
      "wartung~|ueberlastet|ueberlast|interner fehler|interner serverfehler|erreur interne|surcharg~|error interno|"
      "mantenimiento|errore interno|manutenzione|erro interno|manutencao|onderhoud|interne fout|interne serverfout|"
      "blad wewnetrzny|bledu wewnetrznego|внутренн~ ошибк~|перегруж~|interni chyba|vnitrni chyba|системн~ ошибк~|"
      "системная ошибка|系统错误|内部错误|系统繁忙|服务器忙|繁忙|内部エラー|混雑|メンテナンス|システムエラー|internt "
      "fel|"
      "technische stoerung|technisch~ problem~|technical problem~|technical difficult~|technical error|"
      "probleme technique" },
    { CLASS_LOCAL, 7,
      "command output|pipe to|output file|x unix|no mdb|"
      "database|ldap|mysql|backend|command failed|command died|procmail|maildrop failed|unable to process|encountered "
      "an error|system call|"
      "unable to write|cannot write|unable to open|cannot open|unable to create|unable to save|cannot save|"
      "unable to store|unable to queue|queue file|queue error|queue full|cannot * queue|spool|server error|"
      "system error|system problem|server configuration|temporary * error|temporary * problem|temporary * failure|"
      "temporary failure|temporary error|temporary problem|temporary system|temporary server|temporary local|"
      "temporary service|server temporarily|system temporarily|service temporarily unavailable|service unavailable try|"
      "service not available closing|service not available|temporarily unavailable|currently unavailable|temporarily "
      "unable|"
      "server unavailable|unexpected error|unexpected failure|fatal error|unknown error|program error|"
      "memory|resources|connection slots|sync fail~|fork|cannot fork|could not be processed|failed to process|"
      "scanner|system not|delivery agent|mailer error|crash~|exception|4:load" },
    { CLASS_LOCAL, 6, "4:service refused|4:service refuse" },
    { CLASS_LOCAL, 5,
      "4:voruebergehend~|4:temporairement|4:indisponible|4:temporalmente|4:temporaneamente|4:temporariamente|"
      "4:tijdelijk~|4:tymczasow~|4:временн~|4:docasn~|4:暂时|4:一時的|4:tillfalligt|4:temporary|"
      "4:service unavailable|nicht verfuegbar|4:no disponible|4:non disponibile|4:indisponivel|4:niet beschikbaar|"
      "4:niedostepn~|4:недоступ~|4:nedostupn~|qq" },
    { CLASS_LOCAL, 2,
      "4:temporarily|4:try again|4:try later|4:later|4:spaeter|4:plus tard|4:mas tarde|4:piu tardi|4:mais "
      "tarde|4:pozniej|"
      "4:позже|4:pozdeji|4:稍后|4:しばらく|service unavailable|transaction failed" },

    /* policy without a reason, loops, what fits nowhere */
    { CLASS_OTHER, 10,
      "recipient preferences|recipient does not want|does not want mail|refused by recipient|rejected by recipient|too "
      "many hops|hop count|hops" },
    { CLASS_OTHER, 9,
      "blocked you|recipient has blocked|not authenticated by organization|mail loop|mail loops|routing "
      "loop|forwarding loop|loop detected|looping|loops "
      "back|message loop|//mailloop|"
      "mail schleife|boucle|bucle|mailschleife|too many received headers|rejectmessage|/rejectmessage|"
      "restrictedtorecipientspermission|not authorized to send to|not allowed to send to|"
      "recipient address~ rejected access denied|allowed senders list|"
      "rejected by organization|recipientrestricted|/recipientrestricted|not allowed to send to this|"
      "refused by user|rejected by user|owner * does not accept|only accepts * members|not authorized to post|"
      "not a member|members only|moderat~|closed list|not subscribed|subscribers" },
    { CLASS_OTHER, 7,
      "envelope blocked|only accepts * mail|blocked by the recipient|recipient rules|user rules|/resolver "
      "/rst|/resolver /fwd|/resolver /grp|only receive~ * from|only accept~ * from|accept~ * only from|by recipient "
      "rules|loop|loops|mailing "
      "list|administrative prohibition|administratively|policy reasons|policy violation|policy rejection|local "
      "policy|organization policy|policy restriction~|"
      "by policy|due to policy|violates * policy|violation of policy|policy" },
    { CLASS_OTHER, 5,
      "access denied|permission denied|no permission|not permitted|not allowed|not authorized|not authorised|delivery "
      "not authorized|"
      "prohibited|forbidden|restricted|blacklisted recipient|discarded|richtlinie~|politique|politica|politicas|beleid|"
      "polityk~|политик~|策略|ポリシー" },
    { CLASS_OTHER, 3, "message refused|message rejected|mail refused|mail rejected|REFUSED|unwanted" },
};

#endif
