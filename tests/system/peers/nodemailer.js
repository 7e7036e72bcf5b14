// Sends the mails of a job by nodemailer: node nodemailer.js '{"transport": {...}, "mails": [...]}'.
// One line of JSON for each: what sendMail() resolved to, or the error with its reply.
'use strict';
const nodemailer = require('nodemailer');
const job = JSON.parse(process.argv[2]);
const transport = nodemailer.createTransport(job.transport);

function send(mail) {
    return transport.sendMail(mail).then(
        info => ({ response: info.response, accepted: info.accepted, rejected: info.rejected }),
        err => ({ error: err.code, code: err.responseCode, response: err.response, command: err.command })
    );
}

Promise.all(job.mails.map(send)).then(results => {
    results.forEach(r => console.log(JSON.stringify(r)));
    transport.close();
});
