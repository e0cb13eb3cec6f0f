-- Roles and database of Modelmill; everything inside the database is made by the migrations, as mill_owner.
--
-- Run as superuser by psql 15 or newer: by the official postgres image on its first start (mounted into
-- /docker-entrypoint-initdb.d) and by the embedded stack. It may run again: passwords are then set anew, nothing is lost.
-- Passwords come from the environment: MILL_OWNER_PASSWORD, MILL_APP_PASSWORD, MILL_SYSTEM_PASSWORD.
-- MILL_DATABASE_NAME (default modelmill) and MILL_DATABASE_TEMPLATE (default template0) are optional.
--
-- mill_owner   owns the database and migrates; no service runs as this role
-- mill_app     serves requests, seeing only the rows of one workspace (row-level security)
-- mill_system  claims jobs, reconciles, publishes; has policies of its own on those tables and no BYPASSRLS

\set ON_ERROR_STOP on
\set database modelmill
\set template template0
\getenv owner_password MILL_OWNER_PASSWORD
\getenv app_password MILL_APP_PASSWORD
\getenv system_password MILL_SYSTEM_PASSWORD
\getenv database MILL_DATABASE_NAME
\getenv template MILL_DATABASE_TEMPLATE

SELECT format('CREATE ROLE %I', name)
FROM unnest(ARRAY['mill_owner', 'mill_app', 'mill_system']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

ALTER ROLE mill_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'owner_password';
ALTER ROLE mill_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'app_password';
ALTER ROLE mill_system LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'system_password';

SELECT format('CREATE DATABASE %I OWNER mill_owner TEMPLATE %I', :'database', :'template')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database')
\gexec

ALTER DATABASE :"database" OWNER TO mill_owner;
REVOKE ALL ON DATABASE postgres FROM PUBLIC;
REVOKE ALL ON DATABASE template1 FROM PUBLIC;
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO mill_app, mill_system;
ALTER DATABASE :"database" SET timezone TO 'UTC';

\connect :"database"
ALTER SCHEMA public OWNER TO mill_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO mill_app, mill_system;
